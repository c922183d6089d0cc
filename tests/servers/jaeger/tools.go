//go:build tools

// Package jaeger pins the Jaeger server that the tests start.
package jaeger

import _ "github.com/jaegertracing/jaeger/cmd/jaeger"
