'use strict';
// The link carries its token behind the #, which no server and no log gets; it is handed in as a form.
const token = document.querySelector('#token');
if (token && location.hash.length > 1) {
  token.value = location.hash.slice(1);
  history.replaceState(null, '', location.pathname);
  token.form.submit();
}
// While a check goes on, its end shows at once. Without this the page loads itself again.
const result = document.querySelector('#result');
if (result && result.dataset.progress && window.EventSource) {
  const events = new EventSource(result.dataset.progress);
  events.onmessage = (e) => {
    if (!JSON.parse(e.data).checking) {
      events.close();
      history.replaceState(null, '', '#result');
      location.reload();
    }
  };
}
// What came of it is read out, and the keyboard goes on from there.
if (result && !result.dataset.progress && location.hash === '#result') {
  history.replaceState(null, '', location.pathname + location.search);
  result.focus();
}
