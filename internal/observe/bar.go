package observe

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/avtotpy/avtotpy/migrate"
)

// A bar is the last line of a terminal during a migration: how far it is, at which
// file, and what it waits for. It is drawn again and again; lines of the log, which are
// written through it, go above. A nil bar draws nothing.
type bar struct {
	out     *os.File
	started time.Time

	mu    sync.Mutex
	now   migrate.Progress
	drawn bool

	quit, joined chan struct{}
}

func startBar(out *os.File) *bar {
	b := &bar{out: out, started: time.Now(), quit: make(chan struct{}), joined: make(chan struct{})}
	go b.run()
	return b
}

// run draws after a second: what is done by then needs no bar.
func (b *bar) run() {
	defer close(b.joined)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-tick.C:
		}
		if time.Since(b.started) >= time.Second {
			b.mu.Lock()
			b.draw()
			b.mu.Unlock()
		}
	}
}

// show is called by the migrator.
func (b *bar) show(p migrate.Progress) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = p
}

// Write writes lines of the log above the bar.
func (b *bar) Write(lines []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	redraw := b.drawn
	b.erase()
	n, err := b.out.Write(lines)
	if redraw {
		b.draw()
	}
	return n, err
}

func (b *bar) stop() {
	if b == nil {
		return
	}
	close(b.quit)
	<-b.joined
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
}

func (b *bar) draw() {
	line := barLine(b.now, time.Now(), width(b.out))
	if line == "" {
		b.erase()
		return
	}
	_, _ = b.out.WriteString("\r" + line + "\x1b[K") // a terminal that is gone; in one piece, or it flickers
	b.drawn = true
}

func (b *bar) erase() {
	if b.drawn {
		_, _ = b.out.WriteString("\r\x1b[K") // as above
		b.drawn = false
	}
}

// width is asked each time, because windows change.
func width(terminal *os.File) int {
	size, err := unix.IoctlGetWinsize(int(terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}

// barLine is the line for a terminal of that width, which it never fills: the last
// column would wrap. The server's words are made printable.
func barLine(p migrate.Progress, now time.Time, width int) string {
	if p.Phase == "" || p.Phase == migrate.Done {
		return ""
	}
	line := inOneLine(p, now)
	const cells, roomy = 20, 60
	if p.Of > 0 && width >= roomy {
		full := cells * (p.Number - 1) / p.Of
		line = fmt.Sprintf("[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", cells-full), line)
	}
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, line)
	const more = "..."
	if most := max(width-1, 0); len(line) > most {
		line = line[:max(most-len(more), 0)] + more[:min(len(more), most)]
	}
	return line
}
