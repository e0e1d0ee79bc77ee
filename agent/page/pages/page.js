'use strict';
// The link carries its token behind the #, which no server and no log gets; it is handed in as a form.
const token = document.querySelector('#token');
if (token && location.hash.length > 1) {
  token.value = location.hash.slice(1);
  history.replaceState(null, '', location.pathname);
  token.form.submit();
}
// Without this, the page asks to be loaded again by hand while a check goes on.
const status = document.querySelector('[data-progress]');
if (status && window.EventSource) {
  let checking = status.dataset.checking === 'true';
  const events = new EventSource(status.dataset.progress);
  events.onmessage = (e) => {
    const now = JSON.parse(e.data).checking;
    if (now !== checking) {
      events.close();
      location.reload();
    }
  };
}
