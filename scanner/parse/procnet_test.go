package parse

import (
	"encoding/binary"
	"reflect"
	"testing"
)

const tcpText = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0
   1: 0100007F:D2F0 0100007F:0016 01 00000000:00000000 02:000A7D2C 00000000  1000        0 54321 2 0000000000000000 20 4 30 10 -1
`

const tcp6Text = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 777 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 778 1 0000000000000000 100 0 0 10 0
`

func TestNetSockets(t *testing.T) {
	t.Parallel()
	v4, bad := NetSockets([]byte(tcpText), binary.LittleEndian)
	if len(bad) != 0 || len(v4) != 2 {
		t.Fatalf("%+v, %v", v4, bad)
	}
	if v4[0].Local.String() != "127.0.0.1:22" || v4[0].State != 10 || v4[0].Inode != 12345 ||
		v4[1].Remote.String() != "127.0.0.1:22" || v4[1].Local.Port() != 54000 || v4[1].UID != 1000 {
		t.Errorf("%+v", v4)
	}
	v6, bad := NetSockets([]byte(tcp6Text), binary.LittleEndian)
	if len(bad) != 0 || len(v6) != 2 || v6[0].Local.String() != "[::1]:8080" || v6[1].Local.Addr().Unmap().String() != "127.0.0.1" {
		t.Errorf("%+v, %v", v6, bad)
	}
	// The same address as a big-endian machine prints it.
	be, bad := NetSockets([]byte("head\n 0: 7F000001:0016 00000000:0000 0A 0:0 0:0 0 0 0 9\n"), binary.BigEndian)
	if len(bad) != 0 || be[0].Local.String() != "127.0.0.1:22" || be[0].Inode != 9 {
		t.Errorf("%+v, %v", be, bad)
	}
	_, bad = NetSockets([]byte("head\n 0: 7F000001:0016\n 1: 7F0001:0016 00000000:0000 0A 0:0 0:0 0 0 0 9\n\n"), binary.LittleEndian)
	if len(bad) != 2 {
		t.Errorf("%v", bad)
	}
}

func FuzzNetSockets(f *testing.F) {
	f.Add([]byte(tcpText))
	f.Add([]byte(tcp6Text))
	f.Add([]byte(packetText))
	f.Fuzz(func(t *testing.T, b []byte) {
		socks, _ := NetSockets(b, binary.LittleEndian)
		for _, s := range socks {
			if !s.Local.IsValid() || !s.Remote.IsValid() || s.State < 0 || s.State > 255 {
				t.Errorf("%+v", s)
			}
		}
		PacketSockets(b)
	})
}

const packetText = `sk               RefCnt Type Proto  Iface R Rmem   User   Inode
0000000000000000 3      3    0003   2     1 0      0      4711
0000000000000000 3      2    888e   0     1 0      101    4712
`

func TestPacketSockets(t *testing.T) {
	t.Parallel()
	got, bad := PacketSockets([]byte(packetText + "0000 3 x 0003 2 1 0 0 1\nshort\n"))
	want := []PacketSocket{{Type: 3, Protocol: 3, Iface: 2, Inode: 4711}, {Type: 2, Protocol: 0x888e, UID: 101, Inode: 4712}}
	if !reflect.DeepEqual(got, want) || len(bad) != 2 {
		t.Errorf("%+v, %v", got, bad)
	}
}
