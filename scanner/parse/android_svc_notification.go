package parse

import "strings"

// NotificationAccess is who may read notifications. Of notifications themselves nothing is kept.
type NotificationAccess struct {
	Listeners  []NotificationReader
	Assistants []NotificationReader
}

// NotificationReader is a component that reads, or may read, notifications.
type NotificationReader struct {
	Component string
	User      int  // -1 when it is not said, or for all users
	Allowed   bool // the user, or the maker, let it
	Live      bool // connected while the output was made
	Line      int  // 1-based, of its first mention
}

// NotificationReaders reads the listener and assistant parts of dumpsys notification of
// Android 4.3 to 16.
func NotificationReaders(b []byte) (NotificationAccess, error) {
	if err := ServiceRefusal(b); err != nil {
		return NotificationAccess{}, err
	}
	var p notificationReader
	serviceText(b, p.line)
	if !p.known {
		return NotificationAccess{}, ErrOtherFormat
	}
	return p.out, nil
}

type notificationReader struct {
	out   NotificationAccess
	known bool
	into  *[]NotificationReader
	at    int // indent of the part's heading
	state string
}

// maxReaders bounds one list.
const maxReaders = 4096

func (p *notificationReader) line(n int, line string) {
	text, at := strings.TrimSpace(line), indent(line)
	low := strings.ToLower(text)
	switch {
	case text == "":
		return
	case low == "notification listeners:":
		p.known, p.into, p.at, p.state = true, &p.out.Listeners, at, ""
		return
	case low == "notification assistant services:" || low == "notification assistants:":
		p.known, p.into, p.at, p.state = true, &p.out.Assistants, at, ""
		return
	case p.into == nil:
		return
	case at <= p.at:
		p.into = nil
		return
	}
	switch {
	case strings.HasPrefix(low, "allowed "): // "Allowed notification listeners:"
		p.state = "allowed"
	case strings.HasPrefix(low, "all "), strings.HasPrefix(low, "enabled "): // "... (1) enabled for current profiles:"
		p.state = "enabled"
	case strings.HasPrefix(low, "live "), strings.HasPrefix(low, "listeners ("):
		p.state = "live"
	case strings.HasSuffix(low, ":") || strings.HasPrefix(low, "snoozed ") || strings.Contains(low, "listenerhints"), strings.HasPrefix(low, "mlistener"):
		p.state = ""
	case p.state != "":
		p.reader(n, text)
	}
}

// reader reads "a.b/.C (user: 0 isPrimary: true)", "a.b/.C:d.e/.F (user: 0 ...)" and
// "ComponentInfo{a.b/a.b.C} (user 0): android.service...".
func (p *notificationReader) reader(n int, text string) {
	names, rest, _ := strings.Cut(text, " (user")
	user := -1
	if rest != "" {
		digits := strings.TrimLeft(rest, ": ")
		if id, ok := leadingInt(digits); ok {
			user = id
		}
	}
	for _, name := range strings.Split(names, ":") {
		name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
		if c, ok := flatComponent(name); ok {
			p.add(c, user, n)
		}
	}
}

func (p *notificationReader) add(component string, user, line int) {
	list := *p.into
	at := -1
	for i := range list {
		if list[i].Component == component && (user < 0 || list[i].User == user || list[i].User < 0) {
			at = i
			break
		}
	}
	if at < 0 {
		if len(list) >= maxReaders {
			return
		}
		*p.into = append(list, NotificationReader{Component: component, User: user, Line: line})
		at = len(list)
	}
	r := &(*p.into)[at]
	if r.User < 0 {
		r.User = user
	}
	switch p.state {
	case "live":
		r.Live = true
	default:
		r.Allowed = true
	}
}
