package device

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"unsafe"

	"github.com/shirou/gopsutil/v3/host"
	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/probe"
)

const maxBPFPrograms = 1 << 14

// bpfTypes are the kinds of programs, in the kernel's order (linux/bpf.h).
var bpfTypes = [...]string{
	"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
	"cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
	"cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
	"raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
}

// bpfTracing are the kinds that watch or change what others do.
var bpfTracing = map[string]bool{
	"kprobe": true, "tracepoint": true, "perf_event": true, "raw_tracepoint": true, "raw_tracepoint_writable": true,
	"tracing": true, "ext": true, "lsm": true,
}

// bpf calls bpf(2) with the commands that only read.
func bpf(cmd int, attr []byte) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// bpfPrograms lists the programs that are loaded, with the processes that hold them.
func bpfPrograms(ctx context.Context, holders map[uint32][]int) ([]probe.BPFProgram, error) {
	boot, err := host.BootTimeWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the boot time: %w", err)
	}
	out := []probe.BPFProgram{}
	for id := uint32(0); len(out) < maxBPFPrograms && ctx.Err() == nil; {
		attr := make([]byte, 12) // start_id, next_id, open_flags
		binary.NativeEndian.PutUint32(attr, id)
		_, err := bpf(unix.BPF_PROG_GET_NEXT_ID, attr)
		switch {
		case errors.Is(err, unix.ENOENT):
			return out, nil
		case errors.Is(err, unix.EPERM):
			return nil, pathErr("list", "the loaded BPF programs", err)
		case err != nil: // no bpf(2), or one older than Linux 4.13
			return nil, fmt.Errorf("the kernel does not list BPF programs (%w): %w", err, scanner.ErrUnavailable)
		}
		id = binary.NativeEndian.Uint32(attr[4:])
		p, err := bpfProgram(id, int64(boot))
		if errors.Is(err, unix.ENOENT) {
			continue // unloaded meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("describing BPF program %d: %w", id, err)
		}
		p.PIDs = holders[id]
		out = append(out, p)
	}
	return out, ctx.Err()
}

// bpfProgram describes one program by the start of struct bpf_prog_info.
func bpfProgram(id uint32, boot int64) (probe.BPFProgram, error) {
	attr := make([]byte, 12)
	binary.NativeEndian.PutUint32(attr, id)
	fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, attr)
	if err != nil {
		return probe.BPFProgram{}, err
	}
	defer unix.Close(fd)
	info := make([]byte, 80)
	var pin runtime.Pinner // the kernel writes to it by its address
	pin.Pin(&info[0])
	defer pin.Unpin()
	attr = make([]byte, 16) // bpf_fd, info_len, info
	binary.NativeEndian.PutUint32(attr, uint32(fd))
	binary.NativeEndian.PutUint32(attr[4:], uint32(len(info)))
	binary.NativeEndian.PutUint64(attr[8:], uint64(uintptr(unsafe.Pointer(&info[0]))))
	if _, err = bpf(unix.BPF_OBJ_GET_INFO_BY_FD, attr); err != nil {
		return probe.BPFProgram{}, err
	}
	p := probe.BPFProgram{ID: id, Tag: hex.EncodeToString(info[8:16]), UID: int(binary.NativeEndian.Uint32(info[48:])),
		Loaded: boot + int64(binary.NativeEndian.Uint64(info[40:])/1e9), Name: unix.ByteSliceToString(info[64:80])}
	typ := int(binary.NativeEndian.Uint32(info))
	if p.Type = strconv.Itoa(typ); typ < len(bpfTypes) {
		p.Type = bpfTypes[typ]
	}
	p.Tracing = bpfTracing[p.Type]
	return p, nil
}
