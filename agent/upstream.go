package agent

import (
	"context"
	"crypto/x509"
	"fmt"
	"reflect"

	"picket/store"
	"picket/transport"
)

// enrolledUpstream is where an enrolled device's events go: nil while it is not enrolled, or
// where its organisation takes none. Of one whose enrolment cannot be used all events are kept.
func (d *daemon) enrolledUpstream(Config) Sink {
	if err := d.member.broken(); err != nil {
		return keeping{err}
	}
	id := d.member.identity()
	if id == nil || id.Upstream.OTLP == nil {
		return nil
	}
	e, err := id.exporter(d.clock)
	if err != nil {
		return keeping{err}
	}
	return newUpstreamSink(e, d.member.renewNow, d.clock.boot)
}

// sendsAs tells whether it is the same device to the same upstream; neither need be one.
func (id *identity) sendsAs(o *identity) bool {
	if id == nil || o == nil {
		return id == o
	}
	return id.Device == o.Device && reflect.DeepEqual(id.Upstream, o.Upstream)
}

// exporter sends to the OTLP endpoint of the enrolment.
func (id *identity) exporter(c clock) (*transport.Exporter, error) {
	o, err := id.Upstream.options()
	if err != nil {
		return nil, err
	}
	o.Roots, o.Identity, o.Now = id.roots, id.certificate, c.wall
	if own := id.Upstream.OTLP.Roots; own != "" {
		o.Roots = x509.NewCertPool()
		o.Roots.AppendCertsFromPEM([]byte(own))
	}
	return transport.NewExporter(transport.NewClient(o), id.Upstream.OTLP.URL, transport.Resource{HostID: id.Device, Version: version(), OS: "linux"})
}

// keeping is the sink of a device that should send and cannot: nothing leaves the outbox.
type keeping struct{ why error }

func (k keeping) Send(context.Context, []store.Event) Receipt {
	return Receipt{Err: &failure{err: fmt.Errorf("the enrolment cannot be used: %w", k.why), code: warnUpstream, pace: longLane,
		fix: "see the warning " + warnEnrolment + "; nothing is lost while the outbox has room"}}
}
