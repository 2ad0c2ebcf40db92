package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"fairlead.dev/fairlead/internal/diagnosis"
)

// outcomeOf sorts an error of the network by its type; connected says that
// there was a connection, TLS and all.
func outcomeOf(err error, connected bool) diagnosis.Outcome {
	var (
		unknown x509.UnknownAuthorityError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		dns     *net.DNSError
		timeout net.Error
		network *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return diagnosis.UnknownCA
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return diagnosis.PlainHTTP
	case errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert):
		return diagnosis.BadTLS
	case errors.As(err, &dns) && dns.IsNotFound:
		return diagnosis.NoHost
	case errors.Is(err, syscall.ECONNREFUSED):
		return diagnosis.Refused
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return diagnosis.Timeout
	case !connected, errors.As(err, &network), errors.Is(err, context.Canceled),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return diagnosis.Unreachable
	}
	return diagnosis.ServerError // it speaks, and no HTTP that is understood
}

// statusOutcome sorts the status of an answer about a manifest or a token; ""
// for success.
func statusOutcome(status int) diagnosis.Outcome {
	switch {
	case status >= 200 && status < 300:
		return ""
	case status == http.StatusUnauthorized:
		return diagnosis.Unauthorized
	case status == http.StatusForbidden:
		return diagnosis.Forbidden
	case status == http.StatusNotFound:
		return diagnosis.NotFound
	case status == http.StatusTooManyRequests:
		return diagnosis.RateLimited
	}
	return diagnosis.ServerError
}
