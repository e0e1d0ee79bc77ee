package agent

import (
	"strings"

	ui "picket/agent/page"
	"picket/scanner"
	"picket/scanner/facts"
)

// seeNetworks keeps for the page what a scan saw of the networks. It goes nowhere else.
func (h *pageHost) seeNetworks(f *scanner.Facts) {
	t := f.Tables["networks"]
	if t == nil {
		return // of another look
	}
	rows, _ := t.Rows.([]facts.Network)
	networks := make([]ui.Network, 0, len(rows))
	for i := range rows {
		networks = append(networks, pageNetwork(&rows[i]))
	}
	h.networks.Store(&networks)
}

// pageNetwork is a network in the page's words.
func pageNetwork(n *facts.Network) ui.Network {
	out := ui.Network{Name: n.Name}
	add := func(name, value string, word bool) {
		if value != "" {
			out.Facts = append(out.Facts, ui.Fact{Name: name, Value: value, Word: word})
		}
	}
	add("kind", n.Transport, true)
	add("interface", n.Interface, false)
	add("bssid", n.BSSID, false)
	add("security", n.Security, true)
	add("gateway", n.Gateway, false)
	add("resolvers", strings.Join(n.Resolvers, ", "), false)
	add("dhcp", strings.Join(n.DHCP, ", "), false)
	add("routers", strings.Join(n.Routers, ", "), false)
	add("proxy", n.Proxy, false)
	if n.Captive {
		add("captive", "yes", true)
	}
	if n.ID != "" { // else nothing of it is remembered
		add("known", map[bool]string{true: "yes", false: "no"}[n.Remembered], true)
	}
	return out
}
