package device

import (
	"golang.org/x/sys/unix"

	"picket/scanner/probe"
)

func uname() (probe.Uname, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return probe.Uname{}, err
	}
	return probe.Uname{
		Sysname: unix.ByteSliceToString(u.Sysname[:]), Release: unix.ByteSliceToString(u.Release[:]),
		Version: unix.ByteSliceToString(u.Version[:]), Machine: unix.ByteSliceToString(u.Machine[:]),
	}, nil
}
