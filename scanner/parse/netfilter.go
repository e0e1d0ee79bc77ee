package parse

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Firewall is what is kept of a packet filter's rules.
type Firewall struct {
	// InputPolicy is what happens to packets for the device that no rule names: drop, reject or
	// accept; "" when nothing looks at them.
	InputPolicy string
	// InputRules counts the rules that look at packets for the device.
	InputRules int
	Redirects  []Redirect
	Masquerade bool
}

// Redirect is a rule that sends traffic elsewhere than it was meant to go.
type Redirect struct {
	Chain string
	Ports []int  // ports that it takes; empty is all
	To    string // address and port, or port
	Line  int    // 1-based; 0 for JSON
}

// IptablesSave reads the output of iptables-save, or a file of it.
func IptablesSave(b []byte) Firewall {
	var fw Firewall
	table := ""
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":INPUT ") && table == "filter":
			fw.setPolicy(strings.ToLower(strings.Fields(line)[1]))
		case strings.HasPrefix(line, "-A ") || strings.HasPrefix(line, "-I "):
			fw.iptablesRule(table, words(line), n)
		}
	})
	return fw
}

// setPolicy keeps the strictest of several input policies: a packet has to pass all of them.
func (fw *Firewall) setPolicy(p string) {
	if fw.InputPolicy == "" || fw.InputPolicy == "accept" {
		fw.InputPolicy = p
	}
}

func (fw *Firewall) iptablesRule(table string, w []string, line int) {
	if len(w) < 3 {
		return
	}
	opt := map[string]string{}
	for i := 2; i+1 < len(w); i++ {
		if strings.HasPrefix(w[i], "-") && !strings.HasPrefix(w[i+1], "-") {
			opt[w[i]] = w[i+1]
		}
	}
	target := opt["-j"]
	switch {
	case table == "filter" && w[1] == "INPUT":
		fw.InputRules++
		if (target == "DROP" || target == "REJECT") && len(w) <= 6 && opt["-s"] == "" && opt["-p"] == "" && opt["-i"] == "" {
			fw.InputPolicy = strings.ToLower(target) // a last rule for everything
		}
	case target == "MASQUERADE" || target == "SNAT":
		fw.Masquerade = true
	case target == "REDIRECT" || target == "DNAT" || target == "TPROXY":
		to := opt["--to-destination"] + opt["--to-ports"] + opt["--on-port"]
		if len(fw.Redirects) < maxSettings {
			fw.Redirects = append(fw.Redirects, Redirect{Chain: w[1], Ports: portList(opt["--dport"] + opt["--dports"]), To: to, Line: line})
		}
	}
}

// portList reads "80", "80,443" and "1000:2000" (its ends).
func portList(s string) []int {
	var out []int
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		if n, err := strconv.Atoi(f); err == nil && n < 1<<16 && len(out) < 64 {
			out = append(out, n)
		}
	}
	return out
}

// NftablesConf reads nftables.conf(8) or a file that it includes, by its lines.
func NftablesConf(b []byte) Firewall {
	var fw Firewall
	chain, input := "", false
	lines(b, func(n int, line string) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(strings.NewReplacer("{", " { ", "}", " } ", ";", " ; ").Replace(line))
		if len(f) == 0 {
			return
		}
		if i := index(f, "chain"); i >= 0 && i+1 < len(f) {
			chain, input = f[i+1], false
		}
		if i := index(f, "hook"); i >= 0 && i+1 < len(f) && f[i+1] == "input" && index(f, "filter") >= 0 {
			input = true
			if fw.InputPolicy == "" {
				fw.InputPolicy = "accept"
			}
		}
		if i := index(f, "policy"); i >= 0 && i+1 < len(f) && input {
			fw.InputPolicy = f[i+1]
			return
		}
		if input && (f[0] == "drop" || f[0] == "reject" || f[0] == "counter" && len(f) > 1 && (f[1] == "drop" || f[1] == "reject")) {
			fw.InputPolicy = "drop"
		}
		if input && index(f, "hook") < 0 && f[0] != "}" {
			fw.InputRules++
		}
		fw.nftLine(chain, f, n)
	})
	return fw
}

func (fw *Firewall) nftLine(chain string, f []string, n int) {
	if index(f, "masquerade") >= 0 {
		fw.Masquerade = true
	}
	for _, verb := range []string{"redirect", "dnat", "tproxy"} {
		i := index(f, verb)
		if i < 0 || len(fw.Redirects) >= maxSettings {
			continue
		}
		r := Redirect{Chain: chain, To: strings.TrimPrefix(strings.Join(f[i+1:], " "), "to "), Line: n}
		if d := index(f, "dport"); d >= 0 {
			for _, w := range f[d+1:] {
				if w == verb || w == "}" || w == "counter" || w == "ip" {
					break
				}
				r.Ports = append(r.Ports, nftPorts(w)...)
			}
		}
		fw.Redirects = append(fw.Redirects, r)
	}
}

// nftPorts reads a port, by number or name.
func nftPorts(w string) []int {
	switch w {
	case "http":
		return []int{80}
	case "https":
		return []int{443}
	case "domain":
		return []int{53}
	}
	return portList(w)
}

func index(words []string, w string) int {
	for i, x := range words {
		if x == w {
			return i
		}
	}
	return -1
}

// NftablesJSON reads the output of nft -j list ruleset (libnftables-json(5)).
func NftablesJSON(b []byte) (Firewall, error) {
	var doc struct {
		Nftables []struct {
			Chain *struct{ Family, Table, Name, Hook, Type, Policy string }
			Rule  *struct {
				Family, Table, Chain string
				Expr                 []map[string]json.RawMessage
			}
		}
	}
	var fw Firewall
	if err := json.Unmarshal(b, &doc); err != nil {
		return fw, fmt.Errorf("nft ruleset: %w", err)
	}
	input := map[string]bool{}
	for _, e := range doc.Nftables {
		if c := e.Chain; c != nil && c.Hook == "input" && c.Type == "filter" {
			input[c.Family+" "+c.Table+" "+c.Name] = true
			if c.Policy == "" {
				c.Policy = "accept"
			}
			fw.setPolicy(c.Policy)
		}
	}
	for _, e := range doc.Nftables {
		if e.Rule != nil {
			fw.nftRule(e.Rule.Chain, e.Rule.Expr, input[e.Rule.Family+" "+e.Rule.Table+" "+e.Rule.Chain])
		}
	}
	return fw, nil
}

func (fw *Firewall) nftRule(chain string, exprs []map[string]json.RawMessage, input bool) {
	var ports []int
	matches := 0
	for _, x := range exprs {
		if m, ok := x["match"]; ok {
			matches++
			if strings.Contains(string(m), `"dport"`) {
				if i := strings.Index(string(m), `"right"`); i >= 0 {
					ports = portList(string(m)[i:])
				}
			}
		}
		if _, ok := x["masquerade"]; ok {
			fw.Masquerade = true
		}
		for _, verb := range []string{"redirect", "dnat", "tproxy"} {
			if to, ok := x[verb]; ok && len(fw.Redirects) < maxSettings {
				fw.Redirects = append(fw.Redirects, Redirect{Chain: chain, Ports: ports, To: nftTarget(to)})
			}
		}
		_, drop := x["drop"]
		_, reject := x["reject"]
		if input && matches == 0 && (drop || reject) {
			fw.InputPolicy = "drop"
		}
	}
	if input {
		fw.InputRules++
	}
}

func nftTarget(raw json.RawMessage) string {
	var to struct {
		Addr json.RawMessage
		Port json.RawMessage
	}
	if json.Unmarshal(raw, &to) != nil {
		return ""
	}
	return strings.Trim(strings.Trim(string(to.Addr), `"`)+":"+string(to.Port), ":")
}
