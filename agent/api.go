package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	ui "picket/agent/page"
	"picket/scanner"
	"picket/store"
)

// The local API: one request a connection, in one line of JSON, answered in lines of JSON.
// docs/api.md is its reference; what is written there stays as it is within one version.
const apiVersion = 1

// Bounds that docs/api.md promises.
const (
	apiRequestMax = 64 << 10 // bytes of the request, its line end included
	apiLineMax    = 1 << 20  // bytes of a line of an answer
	apiWhyMax     = 500      // bytes of the reason of an ignore
	apiIgnoreMax  = 366 * day
	apiHistoryMax = 10_000
	apiKeyMin     = 6 // bytes of the start of a key that may stand for it
	keyLength     = 32
)

// apiDeps is what the API needs of the agent. Every function may be called from several
// goroutines at once.
type apiDeps struct {
	// Now is the wall clock as far as it is believed.
	Now    func() time.Time
	Status func() Status
	// Findings are the open ones; their bodies are a scanner.Finding in JSON.
	Findings func() ([]store.OpenFinding, error)
	// Packages are the known inventory; their bodies are a facts.Package in JSON.
	Packages func() ([]store.Package, error)
	History  func(key string, limit int) ([]store.Entry, error)
	Ignores  func() ([]store.Ignore, error)
	Ignore   func(store.Ignore) error
	Unignore func(key string) error
	// Pending are events that wait to be delivered, in order; their bodies are JSON.
	Pending func(after uint64, n int) ([]store.Event, error)
	// Subscribe gives events as they enter the outbox, until cancel. The channel is closed when
	// the reader fell behind. See feed.
	Subscribe func() (events <-chan []byte, cancel func())
	// Rescan asks for a whole scan. ctx ends the waiting, not the scan.
	Rescan func(ctx context.Context, wait bool) (scanSummary, error)
	// Reload reads the configuration again and says what changed, as Changes does.
	Reload func(ctx context.Context) ([]string, error)
	// Enrolment reads the record of the enrolment again.
	Enrolment func() (EnrolmentState, error)
	// Page gives a link that opens the local page once.
	Page func(ui.Grant) (string, error)
	// Posture says whether the organisation's requirements are met.
	Posture func() Posture
	// Token signs the posture, for an audience and with its nonce.
	Token func(audience, nonce string) (string, error)
	// Responses says how responses stand.
	Responses func() ResponseState
	// Decide cancels or approves a wipe that waits.
	Decide func(cancel bool, id, by, why string) error
	// Export gives all that is kept, by section.
	Export func(emit func(exported) error) error
	// Erase erases the named parts of what is kept, or all that may be.
	Erase func(parts []string) ([]erased, error)
	// Notices tells a user of what is open and was not told to them, until ctx ends.
	Notices func(ctx context.Context, uid uint32, language string, show func(notice) error) error
	Log     *slog.Logger
}

// apiRequest is the line that a client sends.
type apiRequest struct {
	V      int    `json:"v"`
	Op     string `json:"op"`
	Wait   bool   `json:"wait,omitempty"`   // rescan
	Follow bool   `json:"follow,omitempty"` // events
	Limit  int    `json:"limit,omitempty"`  // history
	Since  string `json:"since,omitempty"`  // history: RFC 3339
	Key    string `json:"key,omitempty"`    // history, ignore, unignore; cancel, approve: the wipe's id
	For    string `json:"for,omitempty"`    // ignore: a duration as in the configuration
	Why    string `json:"why,omitempty"`    // ignore, cancel
	Lang   string `json:"lang,omitempty"`   // page: ISO 639-1

	Audience string   `json:"audience,omitempty"` // token
	Nonce    string   `json:"nonce,omitempty"`    // token
	Parts    []string `json:"parts,omitempty"`    // erase
}

// apiLine is a line of an answer. It has one of Item, End and Error; the last line has one of
// the latter two, and an answer without is not whole.
type apiLine struct {
	V     int             `json:"v"`
	Item  json.RawMessage `json:"item,omitempty"`
	End   json.RawMessage `json:"end,omitempty"`
	Error *apiError       `json:"error,omitempty"`
}

// Codes of apiError.
const (
	codeMalformed = "malformed" // the request is no line of JSON as docs/api.md has it
	codeTooLarge  = "too_large"
	codeVersion   = "version"
	codeUnknownOp = "unknown_op"
	codeInvalid   = "invalid" // a field's value
	codeDenied    = "denied"
	codeBusy      = "busy"
	codeTimeout   = "timeout"
	codeNotFound  = "not_found"
	codeAmbiguous = "ambiguous"
	codeFailed    = "failed"   // the agent could not do it
	codeLagged    = "lagged"   // the client reads more slowly than events come
	codeStopping  = "stopping" // the agent stops
	codeInternal  = "internal" // a fault of Picket's
)

// apiError is why a request was refused or failed.
type apiError struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Fix  string `json:"fix,omitempty"`
}

func (e *apiError) Error() string { return e.Text }

func apiErrorf(code, format string, args ...any) *apiError {
	return &apiError{Code: code, Text: fmt.Sprintf(format, args...)}
}

// asAPIError makes any error one that can be sent.
func asAPIError(err error) *apiError {
	if e := (*apiError)(nil); errors.As(err, &e) {
		return e
	}
	out := &apiError{Code: codeFailed, Text: err.Error()}
	if h := (*hinted)(nil); errors.As(err, &h) {
		out.Fix = h.hint
	}
	return out
}

// threat is an item of threats: an open finding and what the store remembers of it.
type threat struct {
	scanner.Finding
	Since   time.Time   `json:"since"`
	Changed time.Time   `json:"changed"`
	Ignored *ignoreItem `json:"ignored,omitempty"`
	// Unread says that the stored finding could not be read: only key, rule, title and severity hold.
	Unread string `json:"unread,omitempty"`
}

// threatsEnd says how far the list of threats can be trusted.
type threatsEnd struct {
	Count      int           `json:"count"`
	Level      scanner.Level `json:"level"`
	NotChecked int           `json:"not_checked"`         // rules without a verdict
	LastScan   *time.Time    `json:"last_scan,omitempty"` // absent: none since the agent started
	// Unkept says why what the last scan found may not all be among them: the store could not take it.
	Unkept string `json:"unkept,omitempty"`
}

// inventoryEnd says how whole the inventory is.
type inventoryEnd struct {
	InventoryState
	Device   *scanner.DeviceInfo `json:"device,omitempty"`
	LastScan *time.Time          `json:"last_scan,omitempty"`
}

// historyItem is a finding that opened or was resolved.
type historyItem struct {
	At       time.Time        `json:"at"`
	Kind     string           `json:"kind"` // opened, resolved
	Key      string           `json:"key"`
	Rule     string           `json:"rule"`
	Title    string           `json:"title"`
	Severity scanner.Severity `json:"severity"`
}

// ignoreItem is a finding set aside for a time.
type ignoreItem struct {
	Key   string    `json:"key"`
	Why   string    `json:"why"`
	By    string    `json:"by"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

func ignoreOf(i store.Ignore) ignoreItem {
	return ignoreItem{i.Key, i.Why, i.By, i.Since, i.Until}
}

// healthEnd is the end of health.
type healthEnd struct {
	OK bool `json:"ok"` // no warnings
}

// queuedEnd is the end of a rescan that nobody waits for.
type queuedEnd struct {
	Queued bool `json:"queued"`
}

// reloadEnd is the end of reload.
type reloadEnd struct {
	Changes []string `json:"changes"`
}

// pageEnd is the end of page.
type pageEnd struct {
	URL string `json:"url"`
}

// tokenEnd is the end of token.
type tokenEnd struct {
	Token string `json:"token"`
}

// countEnd is the end of a list that needs no more said.
type countEnd struct {
	Count int `json:"count"`
}
