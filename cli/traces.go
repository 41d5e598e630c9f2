package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/net/http/httpguts"

	"rollcall/internal/appconnections"
	"rollcall/internal/outage"
	"rollcall/internal/tracing"
)

// traceSettings are the settings of traces.
type traceSettings struct {
	URL     string  `env:"URL" name:"url" help:"Where spans are sent by OTLP over HTTP, as http://127.0.0.1:4318; without it there are none (${env})."`
	Headers string  `env:"HEADERS" secret:"" help:"Headers to send with them, as NAME=VALUE, separated by commas (${env})."`
	Ratio   float64 `env:"RATIO" default:"1" help:"How many of the traces are recorded, from 0 to 1 (${env})."`
}

// check returns an error that names the setting if a value cannot work.
func (s *traceSettings) check() error {
	if s.URL == "" {
		if s.Headers != "" {
			return usageError{errors.New("ROLLCALL_TRACES_HEADERS has no effect without ROLLCALL_TRACES_URL")}
		}
		return nil
	}
	if _, err := tracing.CheckURL(s.URL); err != nil {
		return usageError{fmt.Errorf("ROLLCALL_TRACES_URL %w", err)}
	}
	if s.Ratio < 0 || s.Ratio > 1 {
		return usageError{errors.New("ROLLCALL_TRACES_RATIO must be from 0 to 1")}
	}
	_, err := s.headers()
	return err
}

// headers parses Headers. The error does not repeat them.
func (s *traceSettings) headers() (map[string]string, error) {
	out := make(map[string]string)
	for part := range strings.SplitSeq(s.Headers, ",") {
		name, value, found := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case part == "":
		case !found, !httpguts.ValidHeaderFieldName(name), !httpguts.ValidHeaderFieldValue(value):
			return nil, usageError{errors.New("ROLLCALL_TRACES_HEADERS must be NAME=VALUE, separated by commas")}
		default:
			out[name] = value
		}
	}
	return out, nil
}

// open returns the tracer, or nil if there are no traces, and log with the IDs of traces.
func (s *traceSettings) open(ctx context.Context, log *slog.Logger) (*tracing.Tracer, *slog.Logger, error) {
	if s.URL == "" {
		return nil, log, nil
	}
	url, err := tracing.CheckURL(s.URL)
	if err != nil {
		return nil, nil, err
	}
	headers, err := s.headers()
	if err != nil {
		return nil, nil, err
	}
	log = slog.New(tracing.LogHandler(log.Handler()))
	tracer, err := tracing.Open(ctx, tracing.Options{
		URL: url, Headers: headers, Ratio: s.Ratio,
		Version: Version, Instance: appconnections.NodeName(),
		Warn: outage.NewLog(log).Warn,
	})
	return tracer, log, err
}
