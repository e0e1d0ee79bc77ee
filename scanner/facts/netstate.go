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
	Gateway   bool     `expr:"gateway" json:"-" doc:"next hop of a default route"`
	Static    bool     `expr:"static" json:"-" doc:"entered by hand (permanent)"`
	SameMAC   []string `expr:"same_mac" json:"-" doc:"other addresses of the same family on the same interface with the same hardware address; of a link-local IPv6 address only such"`
	Redundant bool     `expr:"redundant" json:"-" doc:"routers share the address by VRRP, CARP, HSRP or GLBP, as its hardware address or what was overheard tells"`
	Where     string   `expr:"where" json:"-" doc:"rtnetlink"`
}
