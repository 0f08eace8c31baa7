package pg

import (
	"math/rand/v2"
	"time"
)

// Jitter returns between half of d and d.
func Jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // spreads replicas in time; nothing secret hangs on it
}
