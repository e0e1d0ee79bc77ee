package agent

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"picket/store"
)

func (c *apiCall) ignores() (any, error) {
	ignores, err := c.server.deps.Ignores()
	if err != nil {
		return nil, fmt.Errorf("reading what is ignored: %w", err)
	}
	for _, i := range ignores {
		if err := c.out.item(ignoreOf(i)); err != nil {
			return nil, err
		}
	}
	return countEnd{len(ignores)}, nil
}

func (c *apiCall) ignore() (any, error) {
	d, err := ignoreTime(c.req.For)
	if err != nil {
		return nil, apiErrorf(codeInvalid, "for: %v", err)
	}
	if err := checkWhy(c.req.Why); err != nil {
		return nil, err
	}
	open, err := c.server.deps.Findings()
	if err != nil {
		return nil, fmt.Errorf("reading the open findings: %w", err)
	}
	var names []findingName
	for _, f := range open {
		names = append(names, findingName{f.Key, f.Rule})
	}
	key, err := findKey(c.req.Key, names, "no open finding", "see 'picket threats' for the keys")
	if err != nil {
		return nil, err
	}
	now := c.server.deps.Now()
	i := store.Ignore{Key: key, Why: c.req.Why, By: c.peer.name(), Since: now, Until: now.Add(d)}
	if err := c.server.deps.Ignore(i); err != nil {
		return nil, fmt.Errorf("ignoring %s: %w", key, err)
	}
	return ignoreOf(i), nil
}

// ignoreTime reads how long a finding is to be set aside.
func ignoreTime(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s is %w", quoted(text), err)
	}
	if d < time.Minute || d > apiIgnoreMax {
		return 0, fmt.Errorf("%s is out of range: 1m to %s", quoted(text), formatDuration(apiIgnoreMax))
	}
	return d, nil
}

func checkWhy(why string) error {
	switch {
	case strings.TrimSpace(why) == "":
		return apiErrorf(codeInvalid, "why: an ignored finding needs a reason")
	case len(why) > apiWhyMax:
		return apiErrorf(codeInvalid, "why: the reason has %d bytes, and may have %d", len(why), apiWhyMax)
	case !utf8.ValidString(why) || strings.ContainsFunc(why, func(r rune) bool { return !unicode.IsPrint(r) }):
		return apiErrorf(codeInvalid, "why: the reason has characters that do not show")
	}
	return nil
}

func (c *apiCall) unignore() (any, error) {
	ignores, err := c.server.deps.Ignores()
	if err != nil {
		return nil, fmt.Errorf("reading what is ignored: %w", err)
	}
	open, err := c.server.deps.Findings()
	if err != nil {
		return nil, fmt.Errorf("reading the open findings: %w", err)
	}
	rules := map[string]string{}
	for _, f := range open {
		rules[f.Key] = f.Rule
	}
	var names []findingName
	for _, i := range ignores {
		names = append(names, findingName{i.Key, rules[i.Key]})
	}
	key, err := findKey(c.req.Key, names, "no ignored finding", "see 'picket ignores' for the keys")
	if err != nil {
		return nil, err
	}
	if err := c.server.deps.Unignore(key); err != nil {
		return nil, fmt.Errorf("ending the ignore of %s: %w", key, err)
	}
	return findingName{Key: key}, nil
}

// findingName is what a finding may be called by.
type findingName struct {
	Key  string `json:"key"`
	Rule string `json:"-"`
}

// is tells whether the name fits: the key, enough of its start, or the rule.
func (n findingName) is(id string) bool {
	return n.Key == id || n.Rule == id || len(id) >= apiKeyMin && strings.HasPrefix(n.Key, id)
}

// findKey tells which finding a person means: by its key, the start of it, or its rule where
// that has one finding only.
func findKey(id string, names []findingName, none, fix string) (string, error) {
	if id == "" {
		return "", apiErrorf(codeInvalid, "key: which finding is not said")
	}
	var found []string
	for _, n := range names {
		switch {
		case n.Key == id:
			return id, nil
		case n.is(id):
			found = append(found, n.Key)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return "", &apiError{codeNotFound, fmt.Sprintf("%s is called %s", none, quoted(id)), fix}
	}
	const most = 5
	text := strings.Join(found[:min(most, len(found))], ", ")
	if len(found) > most {
		text += ", ..."
	}
	return "", &apiError{codeAmbiguous, fmt.Sprintf("%s is the name of %d findings: %s", quoted(id), len(found), text), "give the key"}
}
