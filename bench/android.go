package main

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// android measures bugreports: one as large as those of phones, with and without indicators, and
// a very large one, whose text cannot be held.
func (b *bench) android() error {
	text, large := filepath.Join(b.temp, "bugreport-bench.txt"), filepath.Join(b.temp, "bugreport-large.zip")
	packed, list := filepath.Join(b.temp, "bugreport-bench.zip"), filepath.Join(b.temp, "indicators")
	if err := writeFile(text, func(w io.Writer) error { return writeDumpstate(w, 18<<20) }); err != nil {
		return err
	}
	if err := writeZip(packed, 18<<20); err != nil {
		return err
	}
	if err := writeZip(large, 500<<20); err != nil {
		return err
	}
	if err := os.Mkdir(list, 0o755); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(list, "bench.stix2"), func(w io.Writer) error { return writeSTIX(w, 11_000) }); err != nil {
		return err
	}
	scan := func(name, image string, more ...string) tool {
		return tool{name: name, found: lines(`"type":"finding"`, "findings"), args: append([]string{b.picket, "scan", "--format", "ndjson", "--image", image}, more...)}
	}
	b.table("Android bugreports, all rules", scan("18 MB as text", text), scan("18 MB as text, 11,000 indicators", text, "--indicators", list),
		scan("18 MB in a zip", packed), scan("500 MB in a zip", large))
	return nil
}

func writeFile(name string, fill func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := fill(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func writeZip(name string, size int) error {
	return writeFile(name, func(w io.Writer) error {
		z := zip.NewWriter(w)
		e, err := z.Create("bugreport-bench.txt")
		if err != nil {
			return err
		}
		buffered := bufio.NewWriterSize(e, 1<<20)
		if err := writeDumpstate(buffered, size); err != nil {
			return err
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
		return z.Close()
	})
}

// writeDumpstate makes a bugreport of about size bytes: 500 apps with what the services say of
// them, and for the rest logs, as real ones have.
func writeDumpstate(w io.Writer, size int) error {
	c := &counter{w: w}
	fmt.Fprint(c, strings.Repeat("=", 56)+"\n== dumpstate: 2024-05-06 07:08:09\n"+strings.Repeat("=", 56)+"\n\nBuild: AP1A.240405.002\n"+
		"Build fingerprint: 'maker/phone/phone:14/AP1A.240405.002/1:user/release-keys'\nAndroid SDK version: 34\nKernel: Linux version 6.1.0\n\n")
	section(c, "SYSTEM PROPERTIES", "getprop", func() {
		fmt.Fprint(c, "[ro.build.version.sdk]: [34]\n[ro.build.version.release]: [14]\n[ro.build.version.security_patch]: [2024-04-05]\n[ro.build.type]: [user]\n[ro.build.tags]: [release-keys]\n[ro.boot.verifiedbootstate]: [green]\n")
		for i := range 900 {
			fmt.Fprintf(c, "[vendor.property.number.%d]: [value %d]\n", i, i)
		}
	})
	section(c, "PROCESSES AND THREADS", "ps -A -T -Z -O pri,nice,rtprio,sched,pcy,time", func() {
		fmt.Fprintln(c, "LABEL                          USER           PID   TID  PPID     VSZ    RSS WCHAN            ADDR S PRI  NI RTPRIO SCH PCY     TIME CMD")
		for i := range 6000 {
			fmt.Fprintf(c, "u:r:untrusted_app:s0:c1,c2     u0_a%-9d %6d %6d   500 5000000 90000 0                   0 S  19   0      -   0  fg 00:00:01 Thread-%d\n", i/12, 2000+i/12*12, 2000+i, i%12)
		}
	})
	service(c, "package", func() { writePackages(c, 500) })
	service(c, "appops", func() {
		for i := range 500 {
			fmt.Fprintf(c, "  Uid u0a%d:\n    state=cch\n    Package com.example.app%d:\n", i, i)
			for _, op := range []string{"CAMERA", "FINE_LOCATION", "RECORD_AUDIO", "WAKE_LOCK", "READ_CONTACTS", "POST_NOTIFICATION"} {
				fmt.Fprintf(c, "      %s (allow / switch CAMERA=allow): \n        null=[\n          Access: [top-s] 2024-05-05 10:00:00.000 (-21h8m9s0ms) duration=+3s0ms\n        ]\n", op)
			}
		}
	})
	for n := 0; c.n < size-1000; n++ {
		section(c, "SYSTEM LOG", "logcat -v threadtime -v printable -v uid -d *:v", func() {
			for i := 0; i < 40_000 && c.n < size-1000; i++ {
				fmt.Fprintf(c, "05-06 07:%02d:%02d.%03d  1000  1500  1600 I ActivityManager: a line of the log about process %d of package com.example.app%d\n", i/600%60, i/10%60, i%1000, i, i%500)
			}
		})
	}
	fmt.Fprint(c, strings.Repeat("=", 56)+"\n== dumpstate: done (id 1)\n"+strings.Repeat("=", 56)+"\n")
	return c.err
}

type counter struct {
	w   io.Writer
	n   int
	err error
}

func (c *counter) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(p)
	c.n, c.err = c.n+n, err
	return n, err
}

func section(w io.Writer, title, command string, body func()) {
	fmt.Fprintf(w, "------ %s (%s) ------\n", title, command)
	body()
	fmt.Fprintf(w, "------ 0.100s was the duration of '%s' ------\n", title)
}

func service(w io.Writer, name string, body func()) {
	fmt.Fprintf(w, "%s\nDUMP OF SERVICE %s:\n", strings.Repeat("-", 79), name)
	body()
	fmt.Fprintf(w, "--------- 0.100s was the duration of dumpsys %s, ending at: 2024-05-06 07:08:10\n", name)
}

func writePackages(w io.Writer, n int) {
	fmt.Fprint(w, "Activity Resolver Table:\n  Non-Data Actions:\n      android.intent.action.MAIN:\n")
	for i := range n {
		for j := range 3 {
			fmt.Fprintf(w, "        %07x com.example.app%d/.Activity%d\n", i*3+j, i, j)
		}
	}
	fmt.Fprint(w, "\nReceiver Resolver Table:\n  Non-Data Actions:\n      android.intent.action.BOOT_COMPLETED:\n")
	for i := range n {
		fmt.Fprintf(w, "        %07x com.example.app%d/.Boot\n", i, i)
	}
	fmt.Fprint(w, "\nService Resolver Table:\n  Non-Data Actions:\n      android.net.VpnService:\n        1234567 com.example.app1/.Vpn\n\nPackages:\n")
	for i := range n {
		flags := "[ HAS_CODE ALLOW_CLEAR_USER_DATA ]"
		if i < n*3/4 {
			flags = "[ SYSTEM HAS_CODE ALLOW_CLEAR_USER_DATA ]"
		}
		fmt.Fprintf(w, `  Package [com.example.app%d] (%x):
    appId=%d
    pkg=Package{%x com.example.app%d}
    codePath=/data/app/~~AAAAAAAAAAAAAAAAAAAAAA==/com.example.app%d-AAAAAAAAAAAAAAAAAAAAAA==
    versionCode=%d minSdk=24 targetSdk=34
    versionName=1.%d
    splits=[base]
    apkSigningVersion=3
    flags=%s
    timeStamp=2024-01-02 03:04:05
    lastUpdateTime=2024-01-02 03:04:06
    installerPackageName=com.android.vending
    initiatingPackageName=com.android.vending
    signatures=PackageSignatures{%x version:3, signatures:[%x], past signatures:[]}
    requested permissions:
`, i, i, 10000+i, i, i, i, 100+i, i, flags, i, i*7919)
		for j := range 40 {
			fmt.Fprintf(w, "      com.example.app%d.permission.NUMBER_%d\n", i, j)
		}
		fmt.Fprint(w, "    install permissions:\n")
		for j := range 30 {
			fmt.Fprintf(w, "      android.permission.NORMAL_%d: granted=true\n", j)
		}
		fmt.Fprint(w, "    User 0: ceDataInode=12345 installed=true hidden=false suspended=false distractionFlags=0 stopped=false notLaunched=false enabled=0 instant=false virtual=false\n"+
			"      firstInstallTime=2024-01-02 03:04:05\n      runtime permissions:\n")
		for _, p := range []string{"CAMERA", "ACCESS_FINE_LOCATION", "READ_CONTACTS", "POST_NOTIFICATIONS"} {
			fmt.Fprintf(w, "        android.permission.%s: granted=false, flags=[ USER_SENSITIVE_WHEN_GRANTED|USER_SENSITIVE_WHEN_DENIED]\n", p)
		}
	}
}

// writeSTIX makes a bundle of n indicators of the kinds that published ones have.
func writeSTIX(w io.Writer, n int) error {
	fmt.Fprint(w, `{"type":"bundle","id":"bundle--0","objects":[`)
	for i := range n {
		pattern := fmt.Sprintf("[domain-name:value = 'host%d.bench.example']", i)
		switch i % 5 {
		case 1:
			pattern = fmt.Sprintf("[app:id = 'org.bench.bad%d']", i)
		case 2:
			pattern = fmt.Sprintf("[file:hashes.sha256 = '%064x']", i)
		case 3:
			pattern = fmt.Sprintf("[process:name = 'benchproc%d']", i)
		}
		sep := ","
		if i == 0 {
			sep = ""
		}
		if _, err := fmt.Fprintf(w, `%s{"type":"indicator","id":"indicator--%d","pattern_type":"stix","pattern":%q,"valid_from":"2024-01-01T00:00:00Z"}`, sep, i, pattern); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(w, "]}")
	return err
}
