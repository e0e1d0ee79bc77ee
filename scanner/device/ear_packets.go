package device

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// heardOnly lets through what comes from port 67 over IPv4, router advertisements, and VRRP. A
// packet starts at its network header; where it comes from is asked of the kernel.
func heardOnly() []unix.SockFilter {
	const (
		ancillary    = 0xfffff000 // SKF_AD_OFF: protocol at 0, kind of packet at 4
		loadByte     = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		loadHalf     = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
		equal        = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		vrrpProtocol = 112
	)
	return []unix.SockFilter{
		0:  {Code: loadByte, K: ancillary + 4},                                  // kind of packet
		1:  {Code: equal, K: unix.PACKET_OUTGOING, Jt: 17},                      // own: drop
		2:  {Code: loadHalf, K: ancillary},                                      // protocol
		3:  {Code: equal, K: unix.ETH_P_IP, Jt: 1},                              // to 5
		4:  {Code: equal, K: unix.ETH_P_IPV6, Jt: 8, Jf: 14},                    // to 13, or drop
		5:  {Code: loadByte, K: 9},                                              // IPv4: what it carries
		6:  {Code: equal, K: vrrpProtocol, Jt: 11},                              // take
		7:  {Code: equal, K: unix.IPPROTO_UDP, Jf: 11},                          // or drop
		8:  {Code: loadHalf, K: 6},                                              // fragment offset
		9:  {Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x1fff, Jt: 9}, // a later fragment: drop
		10: {Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0},              // length of the IP header
		11: {Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 0},               // source port
		12: {Code: equal, K: 67, Jt: 5, Jf: 6},                                  // take or drop
		13: {Code: loadByte, K: 6},                                              // IPv6: what it carries
		14: {Code: equal, K: vrrpProtocol, Jt: 3},                               // take
		15: {Code: equal, K: unix.IPPROTO_ICMPV6, Jf: 3},                        // or drop
		16: {Code: loadByte, K: 40},                                             // ICMPv6 type
		17: {Code: equal, K: 134, Jf: 1},                                        // router advertisement: take, or drop
		18: {Code: unix.BPF_RET, K: 2048},                                       // take, up to that many bytes
		19: {Code: unix.BPF_RET, K: 0},                                          // drop
	}
}

// listenPackets opens a packet socket. It is bound only once its filter is there.
func listenPackets() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packets are not heard: %w", err)
	}
	f := os.NewFile(uintptr(fd), "packets")
	filter := heardOnly()
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		f.Close()
		return nil, fmt.Errorf("packets are not heard: filter: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL)}); err != nil {
		f.Close()
		return nil, fmt.Errorf("packets are not heard: %w", err)
	}
	return f, nil
}

// joinRedundancy has an interface take the packets in which redundant routers (VRRP) tell who
// serves an address. Nothing is sent; the kernel drops it with the socket.
func joinRedundancy(f *os.File, index int) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	for _, group := range [][8]byte{{0x01, 0x00, 0x5e, 0, 0, 0x12}, {0x33, 0x33, 0, 0, 0, 0x12}} {
		m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6, Address: group}
		conn.Control(func(fd uintptr) {
			_ = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m) // what cannot be heard explains nothing
		})
	}
}

func htons(n uint16) uint16 { return n>>8 | n<<8 }
