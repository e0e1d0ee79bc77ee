// Package packaging holds the files that make Picket a service of the device it runs on.
package packaging

import "embed"

// Files are the definitions that `picket service install` writes: one file for each init system,
// in a folder of its name. Each is whole and right for a binary in /usr/bin with the
// configuration in its usual place.
//
//go:embed systemd/picket.service openrc/picket sysv/picket procd/picket
var Files embed.FS
