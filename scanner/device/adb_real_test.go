package device

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device/adbtest"
)

// TestThroughARealADBServer puts the adb program that PICKET_ADB names between us and a phone
// of ours.
func TestThroughARealADBServer(t *testing.T) {
	t.Parallel()
	program := os.Getenv("PICKET_ADB")
	if program == "" {
		t.Skip("PICKET_ADB names no adb program")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	server := exec.CommandContext(t.Context(), program, "-P", port, "nodaemon", "server")
	server.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for name, change := range map[string]func(*adbtest.Phone){
		"now":       func(p *adbtest.Phone) {},
		"Android 5": func(p *adbtest.Phone) { p.Old = true },
		"Android 4": func(p *adbtest.Phone) { p.Old, p.Terminal = true, true },
	} {
		p, _ := fakePhone(t, phoneText)
		change(p)
		serial := adbtest.Daemon(t, p)
		ask := &adbServer{address, adbWait, maxPhoneOutput}
		var dev scanner.Device
		for try := 0; ; try++ {
			if _, err = ask.ask(t.Context(), "host:connect:"+serial); err == nil {
				if dev, err = Open(t.Context(), ADBPrefix+serial, OpenOptions{ADBServer: address}); err == nil {
					break
				}
			}
			if try == 30 {
				t.Fatalf("%s: %v", name, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		checkPhone(t, dev, p.Old)
		checkPhone(t, dev, p.Old)
		if err := dev.(*adbDevice).Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(t.Context(), "adb:", OpenOptions{ADBServer: address}); err == nil || !strings.Contains(err.Error(), "Example_1") {
		t.Errorf("the list: %v", err)
	}
}
