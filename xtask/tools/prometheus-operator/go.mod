module bellwether.dev/xtask/tools/prometheus-operator

go 1.26.0

// Not built: only its custom resource definitions are read.
require github.com/prometheus-operator/prometheus-operator v0.85.0
