// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"os"

	fulciolog "github.com/sigstore/fulcio/pkg/log"
	rekorlog "github.com/sigstore/rekor/pkg/log"
	tsalog "github.com/sigstore/timestamp-authority/v2/pkg/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quietLoggers has the servers write what went wrong, and no more, to standard
// error. Fulcio, whose default is standard output, logs there why it refused a
// token; its client does not hear that.
func quietLoggers() {
	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	logger := zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), zap.WarnLevel)).Sugar()
	fulciolog.Logger, rekorlog.Logger, tsalog.Logger = logger, logger, logger
}
