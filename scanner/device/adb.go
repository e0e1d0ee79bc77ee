package device

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"picket/scanner"
)

// ADBPrefix stands before a phone's serial number in the name of a device to open.
const ADBPrefix = "adb:"

const (
	adbIDTime   = 10 * time.Second // for what is asked once, when the phone is opened
	clockSkew   = 5 * time.Minute  // of the phone against this computer, beyond which it is said
	maxStalls   = 3                // connections that fail in a row before the phone is given up
	maxADBFiles = 1 << 18          // descriptions of a phone's files that are kept
)

// phone is a phone on an adb server. Nothing on it is changed: what it is sent are the
// commands of androidCommands, a few more that only print (id, date, readlink, stat, ls,
// sha256sum and its like), and requests to describe, list and read files.
type phone struct {
	server   adbServer
	serial   string
	features []string
	// ctx ends what is under way when the program is told to stop: a tree's methods have no
	// context of their own.
	ctx  context.Context
	stop context.CancelFunc

	mu     sync.Mutex
	idle   []*adbConn // with the sync service on them
	failed int        // connections in a row
	gone   error      // why nothing more is asked
}

// adbDevice is a phone as a device.
type adbDevice struct {
	id    scanner.Identity
	phone *phone
	fsys  scanner.FS
	asker *phoneAsker

	mu     sync.Mutex
	probes map[scanner.Source]*answer
}

func (d *adbDevice) Identity() scanner.Identity { return d.id }
func (d *adbDevice) FS() scanner.FS             { return d.fsys }

func (d *adbDevice) Close() error {
	d.phone.close()
	return nil
}

// Probe runs a command of androidCommands on the phone, once for each source.
func (d *adbDevice) Probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	d.mu.Lock()
	a := d.probes[s]
	if a == nil {
		a = &answer{}
		d.probes[s] = a
	}
	d.mu.Unlock()
	a.once.Do(func() { a.data, a.err = d.asker.probe(ctx, s) })
	return a.data, a.err
}

// openADB opens the phone with a serial number. The device reads it until ctx ends. Its
// RecordedAt is this computer's: the phone's own clock may be wrong, or set so that old patches look new.
func openADB(ctx context.Context, serial string, opt OpenOptions) (scanner.Device, error) {
	server := adbServer{opt.ADBServer, adbWait, maxPhoneOutput}
	if server.address == "" {
		server.address = adbDefault
	}
	return server.open(ctx, serial)
}

// open opens a phone of the server.
func (s *adbServer) open(ctx context.Context, serial string) (scanner.Device, error) {
	if err := s.check(ctx, serial); err != nil {
		return nil, err
	}
	p := &phone{server: *s, serial: serial}
	p.ctx, p.stop = context.WithCancel(ctx)
	if text, err := s.ask(ctx, "host-serial:"+serial+":features"); err == nil {
		p.features = strings.Split(strings.TrimSpace(text), ",")
	} else if refusal := new(adbFail); !errors.As(err, &refusal) { // servers before 2016 refuse
		p.stop()
		return nil, err
	}
	d := &adbDevice{phone: p, fsys: newFS(&adbTree{phone: p}), asker: &phoneAsker{run: p.run}, probes: map[scanner.Source]*answer{}}
	d.id = scanner.Identity{
		Origin: "adb " + serial, Kind: "adb", Platform: "android", Live: true, Acquired: "adb",
		RecordedAt: time.Now().UTC().Truncate(time.Second),
	}
	if err := d.lookAtShell(ctx); err != nil {
		p.close()
		return nil, err
	}
	return d, nil
}

// lookAtShell finds which user the phone runs commands as, and what its clock says.
func (d *adbDevice) lookAtShell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adbIDTime)
	defer cancel()
	r, err := d.phone.run(ctx, androidBin+"id")
	if err != nil {
		return fmt.Errorf("asking the phone who we are: %w", err)
	}
	uid, ok := userOf(string(r.out))
	if !ok {
		d.note("the phone does not say which user adb's shell is (id: status %d, %q)", r.status, firstLine(r.out))
	}
	d.id.Root = ok && uid == 0
	r, err = d.phone.run(ctx, androidBin+"date +%s")
	if err != nil {
		return fmt.Errorf("asking the phone for its time: %w", err)
	}
	sec, err := strconv.ParseInt(strings.TrimSpace(string(r.out)), 10, 64)
	if err != nil {
		d.note("the phone does not say what time it has")
	} else if off := time.Unix(sec, 0).Sub(d.id.RecordedAt).Round(time.Second); off.Abs() > clockSkew {
		d.note("the phone's clock is %v off this computer's; ages are judged by this computer's", off)
	}
	return nil
}

func (d *adbDevice) note(format string, args ...any) {
	d.id.Notes = append(d.id.Notes, fmt.Sprintf(format, args...))
}

// userOf reads what id prints: "uid=2000(shell) gid=...".
func userOf(text string) (int, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "uid=")
	if !ok {
		return 0, false
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	uid, err := strconv.Atoi(digits)
	return uid, err == nil
}

// has tells whether the phone's adb daemon names a feature.
func (p *phone) has(feature string) bool {
	for _, f := range p.features {
		if f == feature {
			return true
		}
	}
	return false
}

// connect starts a service on the phone, unless it was given up.
func (p *phone) connect(ctx context.Context, service string) (*adbConn, error) {
	p.mu.Lock()
	gone := p.gone
	p.mu.Unlock()
	if gone != nil {
		return nil, gone
	}
	return p.server.connect(ctx, p.serial, service)
}

// count keeps how many exchanges failed in a row, and gives the phone up after some: one that
// was unplugged must not cost a time limit for each file. A refusal is an answer, unless it
// says that there is no such phone any more.
func (p *phone) count(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var no *adbFail
	var large *scanner.TooLargeError
	if err == nil || errors.As(err, &large) || errors.As(err, &no) && !strings.HasPrefix(no.text, "device ") {
		p.failed = 0
		return
	}
	if p.failed++; p.failed >= maxStalls && p.gone == nil {
		p.gone = fmt.Errorf("the phone was given up after %d failures in a row, the last: %w", p.failed, err)
	}
}

func (p *phone) close() {
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.Close()
	}
	p.idle = nil
	if p.gone == nil {
		p.gone = errors.New("the device is closed")
	}
}
