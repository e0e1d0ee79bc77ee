package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"picket/scanner/report"
	"picket/transport"
	"picket/transport/stepca"
)

// upstream says where a fleet is and how it is reached. The organisation gives it, in an enrolment
// document or by flags.
type upstream struct {
	Organisation string     `json:"organisation,omitempty"`
	Support      string     `json:"support,omitempty"` // whom to ask, for people
	CA           caPlace    `json:"ca"`
	OTLP         *otlpPlace `json:"otlp,omitempty"`
	Updates      *updates   `json:"updates,omitempty"`
	Resolvers    []string   `json:"resolvers,omitempty"` // IP or IP:PORT; none: the system's
	Proxy        string     `json:"proxy,omitempty"`     // http:// or https://; none: straight
}

// caPlace is the step-ca that gives and renews the certificate.
type caPlace struct {
	URL         string `json:"url"`
	Fingerprint string `json:"fingerprint,omitempty"` // of the root, SHA-256 in hexadecimal
	Roots       string `json:"roots,omitempty"`       // PEM; fetched by the fingerprint at enrolment
}

// otlpPlace takes the events.
type otlpPlace struct {
	URL   string `json:"url"`             // of OTLP/HTTP; logs go to URL/v1/logs
	Roots string `json:"roots,omitempty"` // PEM; none: the CA's
}

// updates is a TUF repository of rules, indicators and policy.
type updates struct {
	URL   string          `json:"url"`
	Root  json.RawMessage `json:"root"`            // the first root.json
	Roots string          `json:"roots,omitempty"` // PEM; none: the CA's
}

const textMax = 200 // characters of what people read

// check says what is wrong with it.
func (u *upstream) check() error {
	if err := httpsURL("ca.url", u.CA.URL); err != nil {
		return err
	}
	if u.OTLP != nil {
		if err := httpsURL("otlp.url", u.OTLP.URL); err != nil {
			return err
		}
		if err := pemRoots("otlp.roots", u.OTLP.Roots); err != nil {
			return err
		}
	}
	if u.Updates != nil {
		if err := httpsURL("updates.url", u.Updates.URL); err != nil {
			return err
		}
		if len(u.Updates.Root) == 0 || u.Updates.Root[0] != '{' {
			return errors.New("updates.root: it is the content of root.json, a JSON object")
		}
		if err := pemRoots("updates.roots", u.Updates.Roots); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"organisation": u.Organisation, "support": u.Support} {
		if len(text) > textMax || report.Clean(text) != text {
			return fmt.Errorf("%s: it is longer than %d bytes or not printable", name, textMax)
		}
	}
	_, err := u.options()
	return err
}

func pemRoots(name, text string) error {
	if text == "" {
		return nil
	}
	if _, err := stepca.ParseChain([]byte(text)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// httpsURL wants a whole https URL without a user, a query or a fragment.
func httpsURL(name, text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return fmt.Errorf("%s is missing", name)
	case err != nil || u.Host == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s: %s is no plain URL such as https://host:port", name, quoted(text))
	case u.Scheme != "https":
		return fmt.Errorf("%s: %s is not https, and nothing is sent in clear", name, quoted(text))
	}
	return nil
}

// options is how the upstream is reached, without roots and identity.
func (u *upstream) options() (transport.Options, error) {
	var o transport.Options
	for _, text := range u.Resolvers {
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(text); err == nil {
				at = netip.AddrPortFrom(ip, 53)
			}
		}
		if err != nil {
			return o, fmt.Errorf("resolvers: %s is no address such as 192.0.2.1 or 192.0.2.1:53", quoted(text))
		}
		o.Resolvers = append(o.Resolvers, at)
	}
	if u.Proxy == "" {
		return o, nil
	}
	p, err := url.Parse(u.Proxy)
	if err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" || p.User != nil || strings.Trim(p.Path, "/") != "" {
		return o, errors.New("proxy: it is no URL such as http://host:port; it has no user or password")
	}
	o.Proxy = p
	return o, nil
}
