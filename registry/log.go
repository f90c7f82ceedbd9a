// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// quiet keeps containerd's packages from writing to stderr, where their default
// logger writes, and hands what they say to the client's logger instead. A
// logger that the caller put into ctx is left alone.
func (c *Client) quiet(ctx context.Context) context.Context {
	if log.G(ctx).Logger != log.L.Logger {
		return ctx
	}
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	logger.SetLevel(logrus.PanicLevel)
	if c.config.Logger != nil {
		logger.SetLevel(logrus.DebugLevel)
		logger.AddHook(slogHook{c.log})
	}
	return log.WithLogger(ctx, logrus.NewEntry(logger))
}

// attentive is quiet for reading containerd's configuration of hosts. containerd
// logs as an error that it cannot make sense of a hosts.toml, and goes on without:
// it asks the registry itself in the place of the mirror that is named there.
func (c *Client) attentive() (context.Context, *complaint) {
	ctx, heard := c.quiet(context.Background()), &complaint{}
	logger := log.G(ctx).Logger
	logger.SetLevel(max(logger.GetLevel(), logrus.ErrorLevel))
	logger.AddHook(heard)
	return ctx, heard
}

// complaint is the first error that was logged.
type complaint struct{ err error }

func (*complaint) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel} }

func (c *complaint) Fire(e *logrus.Entry) error {
	if c.err != nil {
		return nil
	}
	c.err = errors.New(strings.TrimPrefix(e.Message, "failed to "))
	if cause, ok := e.Data[logrus.ErrorKey].(error); ok {
		c.err = fmt.Errorf("%w: %w", c.err, cause)
	}
	return nil
}

// ownContext is quiet for the requests that this package makes for itself, whose
// answers have at most limit bytes.
func (c *Client) ownContext(ctx context.Context, limit int64) context.Context {
	return own(c.quiet(ctx), limit)
}

type slogHook struct{ log *slog.Logger }

func (slogHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire passes every entry on as debug output: what containerd finds worth a
// warning, such as a mirror that does not answer, this package handles itself.
func (h slogHook) Fire(e *logrus.Entry) error {
	attrs := make([]any, 0, 2*len(e.Data))
	for k, v := range e.Data {
		// Headers can be credentials, also those of a host's configuration.
		if strings.Contains(k, ".header.") {
			continue
		}
		switch value := v.(type) {
		case error:
			v = redacted{value}.Error()
		case string:
			v = redacted{errors.New(value)}.Error()
		}
		attrs = append(attrs, slog.Any(k, v))
	}
	ctx := e.Context
	if ctx == nil {
		ctx = context.Background()
	}
	h.log.DebugContext(ctx, redacted{errors.New(e.Message)}.Error(), attrs...)
	return nil
}
