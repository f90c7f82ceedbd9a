// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"io"
	"log/slog"

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

type slogHook struct{ log *slog.Logger }

func (slogHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire passes every entry on as debug output: what containerd finds worth a
// warning, such as a mirror that does not answer, this package handles itself.
func (h slogHook) Fire(e *logrus.Entry) error {
	attrs := make([]any, 0, 2*len(e.Data))
	for k, v := range e.Data {
		attrs = append(attrs, slog.Any(k, v))
	}
	ctx := e.Context
	if ctx == nil {
		ctx = context.Background()
	}
	h.log.DebugContext(ctx, e.Message, attrs...)
	return nil
}
