package observe

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "fairlead"

func newRegistry(version, commit string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the labels say what runs.",
	}, []string{"version", "commit", "go"})
	build.WithLabelValues(version, commit, runtime.Version()).Set(1)
	r.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Handler answers /metrics.
func (o *Observer) Handler() http.Handler {
	return promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Gauge adds a value that is read whenever /metrics is asked. The name gets
// the prefix fairlead_. It fails when the name is taken or no metric's name.
func (o *Observer) Gauge(name, help string, read func() float64) error {
	g := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, read)
	if err := o.registry.Register(g); err != nil {
		return fmt.Errorf("add the metric %s: %w", name, err)
	}
	return nil
}

// Counter adds a value that only grows; calling add counts one. The name gets
// the prefix fairlead_. It fails when the name is taken or no metric's name.
func (o *Observer) Counter(name, help string) (add func(), err error) {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	if err := o.registry.Register(c); err != nil {
		return nil, fmt.Errorf("add the metric %s: %w", name, err)
	}
	return c.Inc, nil
}

// httpMetrics counts requests.
type httpMetrics struct {
	seconds  *prometheus.HistogramVec
	in, out  *prometheus.CounterVec
	inFlight prometheus.Gauge
	series   sync.Map // seriesKey -> *series; looking labels up costs more than counting
}

type seriesKey struct {
	route, method string
	status        int
}

type series struct {
	seconds prometheus.Observer
	in, out prometheus.Counter
}

func newHTTPMetrics(r *prometheus.Registry) *httpMetrics {
	m := &httpMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "http_request_duration_seconds",
			Help:    "Time from a request's head to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 300},
		}, []string{"route", "method", "code"}),
		in: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "http_request_bytes_total", Help: "Bytes read of requests' bodies.",
		}, []string{"route"}),
		out: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "http_response_bytes_total", Help: "Bytes written of answers' bodies.",
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "http_requests_in_flight", Help: "Requests that are being answered.",
		}),
	}
	r.MustRegister(m.seconds, m.in, m.out, m.inFlight)
	return m
}

func (m *httpMetrics) record(route, method string, status int, in, out int64, took time.Duration) {
	if route == "" {
		route = "other"
	}
	key := seriesKey{route, knownMethod(method), status}
	v, ok := m.series.Load(key)
	if !ok {
		v, _ = m.series.LoadOrStore(key, &series{
			seconds: m.seconds.WithLabelValues(key.route, key.method, strconv.Itoa(status)),
			in:      m.in.WithLabelValues(key.route),
			out:     m.out.WithLabelValues(key.route),
		})
	}
	s := v.(*series)
	s.seconds.Observe(took.Seconds())
	s.in.Add(float64(in))
	s.out.Add(float64(out))
}

// knownMethod keeps clients from making series: a method is any word.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// Sweep counts what the sweep frees.
type Sweep struct {
	blobs, bytes, uploads, failures prometheus.Counter
	last                            prometheus.Gauge
}

func newSweep(r *prometheus.Registry) *Sweep {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: "sweep", Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	s := &Sweep{
		blobs:    counter("blobs_freed_total", "Unreferenced blobs that were removed."),
		bytes:    counter("bytes_freed_total", "Bytes of the blobs and uploads that were removed."),
		uploads:  counter("uploads_expired_total", "Abandoned uploads that were removed."),
		failures: counter("failures_total", "Sweeps that ended with an error."),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: "sweep", Name: "last_run_timestamp_seconds",
			Help: "When the last sweep ended without an error; 0 before the first.",
		}),
	}
	r.MustRegister(s.last)
	return s
}

// Freed counts what one step of a sweep has removed.
func (s *Sweep) Freed(blobs, uploads int, bytes int64) {
	s.blobs.Add(float64(blobs))
	s.uploads.Add(float64(uploads))
	s.bytes.Add(float64(bytes))
}

// Ended notes the end of a sweep.
func (s *Sweep) Ended(at time.Time, err error) {
	if err != nil {
		s.failures.Inc()
		return
	}
	s.last.Set(float64(at.UnixMilli()) / 1000)
}

// Database counts the writer's commits.
type Database struct {
	operations prometheus.Histogram
	seconds    prometheus.Histogram
	failures   prometheus.Counter
}

func newDatabase(r *prometheus.Registry) *Database {
	d := &Database{
		operations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "database", Name: "commit_operations",
			Help:    "Operations that shared one commit; the count is the number of commits.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "database", Name: "commit_duration_seconds",
			Help:    "Time of a commit, its fsync included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: "database", Name: "commit_failures_total", Help: "Commits that failed.",
		}),
	}
	r.MustRegister(d.operations, d.seconds, d.failures)
	return d
}

// Committed notes one commit that ended the given number of operations.
func (d *Database) Committed(operations int, took time.Duration, err error) {
	if err != nil {
		d.failures.Inc()
		return
	}
	d.operations.Observe(float64(operations))
	d.seconds.Observe(took.Seconds())
}
