package probe

import "picket/scanner"

// Socket is one network socket, as the live device encodes it.
type Socket struct {
	Proto      string `expr:"proto" json:"proto" doc:"tcp, udp, udplite, raw, icmp, or packet (sees whole frames)"`
	Family     int    `expr:"family" json:"family" doc:"4 or 6; 0 for packet sockets"`
	LocalAddr  string `expr:"local_addr" json:"local_addr,omitempty" doc:"local address"`
	LocalPort  int    `expr:"local_port" json:"local_port,omitempty" doc:"local port; protocol number of raw sockets"`
	RemoteAddr string `expr:"remote_addr" json:"remote_addr,omitempty" doc:"remote address, empty when not connected"`
	RemotePort int    `expr:"remote_port" json:"remote_port,omitempty" doc:"remote port"`
	State      string `expr:"state" json:"state,omitempty" doc:"LISTEN, ESTABLISHED, ... of TCP; empty otherwise"`
	Listening  bool   `expr:"listening" json:"listening,omitempty" doc:"takes what anyone sends: TCP in LISTEN, UDP that is not connected"`
	Loopback   bool   `expr:"loopback" json:"loopback,omitempty" doc:"bound to a loopback address"`
	Wildcard   bool   `expr:"wildcard" json:"wildcard,omitempty" doc:"bound to all addresses"`
	EtherType  int    `expr:"ethertype" json:"ethertype,omitempty" doc:"frames a packet socket sees: 3 is all of them, 0x0800 IPv4, 0x888e EAPOL"`
	Interface  int    `expr:"interface" json:"interface,omitempty" doc:"interface index of a packet socket, 0 all"`
	UID        int    `expr:"uid" json:"uid" doc:"user who made it"`
	Inode      uint64 `expr:"inode" json:"inode,omitempty" doc:"socket's inode; 0 when no process holds it any more"`
	PIDs       []int  `expr:"pids" json:"pids,omitempty" doc:"processes that hold it open"`
	Own        bool   `expr:"own" json:"own,omitempty" doc:"held by Picket itself and by nobody else"`
	SameNetNS  bool   `expr:"same_netns" json:"same_netns" doc:"of our network namespace"`
	scanner.Unread
}
