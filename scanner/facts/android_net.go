package facts

import "picket/scanner"

// AndroidNetwork is a network that the device was on.
type AndroidNetwork struct {
	Transport  string   `expr:"transport" json:"transport" doc:"wifi, cellular, ethernet, bluetooth, vpn, usb"`
	Name       string   `expr:"name" json:"name,omitempty" doc:"SSID of a Wi-Fi network where it was told"`
	BSSID      string   `expr:"bssid" json:"bssid,omitempty" doc:"address of the access point"`
	Security   string   `expr:"security" json:"security,omitempty" doc:"open, owe, wep, wpa, wpa2, wpa3 or enterprise; empty when not told"`
	Interface  string   `expr:"interface" json:"interface,omitempty" doc:"network interface"`
	Default    bool     `expr:"is_default" json:"is_default,omitempty" doc:"traffic goes here"`
	Validated  bool     `expr:"validated" json:"validated,omitempty" doc:"Android reached the internet through it"`
	Captive    bool     `expr:"captive" json:"captive,omitempty" doc:"asks for a sign-in first"`
	Gateway    string   `expr:"gateway" json:"gateway,omitempty" doc:"address of the router"`
	DNS        []string `expr:"dns" json:"dns,omitempty" doc:"resolvers"`
	PrivateDNS string   `expr:"private_dns" json:"private_dns,omitempty" doc:"encrypted resolver in use, or empty"`
	Proxy      string   `expr:"proxy" json:"proxy,omitempty" doc:"proxy or address of its rules"`
	Where      string   `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// AndroidProxy is a proxy that apps are told to use.
type AndroidProxy struct {
	Scope    string `expr:"scope" json:"scope" doc:"global, or network"`
	Name     string `expr:"name" json:"name" doc:"global, or the network's SSID"`
	Host     string `expr:"host" json:"host" doc:"host and port, or address of the rules"`
	PAC      bool   `expr:"pac" json:"pac,omitempty" doc:"rules are fetched from the address"`
	Plain    bool   `expr:"plain" json:"plain,omitempty" doc:"they are fetched without encryption"`
	Loopback bool   `expr:"loopback" json:"loopback,omitempty" doc:"a program on the device itself"`
	Private  bool   `expr:"private" json:"private,omitempty" doc:"an address of a private network"`
	Where    string `expr:"where" json:"-" doc:"source"`
}

// AndroidCA is a certificate authority that apps are told to trust.
type AndroidCA struct {
	SHA256      string `expr:"sha256" json:"sha256" doc:"digest of the certificate, hex"`
	Subject     string `expr:"subject" json:"subject" doc:"common name, or the whole subject"`
	Kind        string `expr:"kind" json:"kind" doc:"user (added by a person or a manager) or system"`
	User        int    `expr:"user" json:"user" doc:"user whose store it is in; -1 for the system's"`
	Interceptor string `expr:"interceptor" json:"interceptor,omitempty" doc:"program that makes certificates of such a name to read encrypted traffic: mitmproxy, Burp, Charles, Fiddler, ..."`
	Foreign     bool   `expr:"foreign" json:"foreign,omitempty" doc:"in the system's store and put there later: newer than the other files, or missing from an untouched store while this one is mounted over"`
	SelfSigned  bool   `expr:"self_signed" json:"self_signed,omitempty" doc:"a root certificate"`
	Path        string `expr:"path" json:"path" doc:"file"`
	Where       string `expr:"where" json:"-" doc:"file"`
	scanner.Unread
}

// AndroidNeighbour is a machine that the device saw on its network.
type AndroidNeighbour struct {
	Address   string   `expr:"address" json:"address" doc:"IP address"`
	MAC       string   `expr:"mac" json:"mac,omitempty" doc:"hardware address; empty when there is none"`
	Interface string   `expr:"interface" json:"interface" doc:"network interface"`
	State     string   `expr:"state" json:"state" doc:"REACHABLE, STALE, FAILED, PERMANENT, ..."`
	Gateway   bool     `expr:"gateway" json:"gateway,omitempty" doc:"next hop of a default route"`
	SameMAC   []string `expr:"same_mac" json:"same_mac,omitempty" doc:"other addresses of the same family on the interface with the same hardware address"`
	Where     string   `expr:"where" json:"-" doc:"source"`
}

// AndroidTunnel is an interface that carries traffic inside other traffic.
type AndroidTunnel struct {
	Interface string `expr:"interface" json:"interface" doc:"name"`
	Kind      string `expr:"kind" json:"kind" doc:"tun, tap, ppp, wireguard, ipsec, gre, sit"`
	Up        bool   `expr:"up" json:"up,omitempty" doc:"is on"`
	Addressed bool   `expr:"addressed" json:"addressed,omitempty" doc:"has an address"`
	ByVPN     bool   `expr:"by_vpn" json:"by_vpn,omitempty" doc:"belongs to a VPN that Android knows of"`
	Carrier   bool   `expr:"carrier" json:"carrier,omitempty" doc:"one of the kernel's or the mobile modem's own"`
	Where     string `expr:"where" json:"-" doc:"source"`
	scanner.Unread
}

// HostsEntry is a name that the device's hosts file leads somewhere.
type HostsEntry struct {
	Name      string `expr:"name" json:"name" doc:"host name; for a list that blocks many names, how many"`
	Address   string `expr:"address" json:"address" doc:"where it is led"`
	Blocked   bool   `expr:"blocked" json:"blocked,omitempty" doc:"led to nowhere"`
	Count     int    `expr:"count" json:"count" doc:"names that this row stands for"`
	Protected bool   `expr:"protected" json:"protected,omitempty" doc:"serves updates, app checks or security"`
	Where     string `expr:"where" json:"-" doc:"file and line"`
}
