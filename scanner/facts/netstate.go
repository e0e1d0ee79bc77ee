package facts

import "picket/scanner/probe"

// Interface is a row of the table.
type Interface struct {
	probe.Interface
	Where string `expr:"where" json:"-" doc:"/sys/class/net/NAME"`
}

// Route is a row of the table.
type Route struct {
	probe.Route
	Where string `expr:"where" json:"-" doc:"rtnetlink"`
}

// Neighbour is a row of the table.
type Neighbour struct {
	probe.Neighbour
	Gateway bool     `expr:"gateway" json:"-" doc:"next hop of a default route"`
	Static  bool     `expr:"static" json:"-" doc:"entered by hand (permanent)"`
	SameMAC []string `expr:"same_mac" json:"-" doc:"other addresses of the same family on the same interface with the same hardware address"`
	Where   string   `expr:"where" json:"-" doc:"rtnetlink"`
}
