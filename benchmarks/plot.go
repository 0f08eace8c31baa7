package main

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// A panel is one case in the plot.
type panel struct {
	title string
	bars  []bar
}

type bar struct {
	name string
	took time.Duration
}

func (r *report) plot(title string, all []measured, of func(sample) time.Duration) {
	p := panel{title: title}
	for _, m := range all {
		p.bars = append(p.bars, bar{m.name, m.median(of)})
	}
	r.plots = append(r.plots, p)
}

// svg draws the panels below each other. Its colours follow the reader's scheme, and its
// background is the page's.
func (r *report) svg() string {
	const (
		width, left, right  = 760, 190, 150
		line, gap, headline = 22, 18, 26
	)
	var body strings.Builder
	y := 0
	for _, p := range r.plots {
		y += headline
		fmt.Fprintf(&body, `<text class="title" x="0" y="%d">%s</text>`+"\n", y-8, html.EscapeString(p.title))
		longest := time.Duration(1)
		for _, b := range p.bars {
			longest = max(longest, b.took)
		}
		ours := p.bars[0].took
		for i, b := range p.bars {
			class := "peer"
			switch {
			case i == 0:
				class = "ours"
			case strings.HasPrefix(b.name, "floor"):
				class = "floor"
			}
			length := max(float64(b.took)/float64(longest)*(width-left-right), 1)
			label := short(b.took)
			if i > 0 {
				label += fmt.Sprintf("  · %.1f ×", quotient(b.took, ours))
			}
			fmt.Fprintf(&body, `<text class="name" x="%d" y="%d">%s</text>`+
				`<rect class="%s" x="%d" y="%d" width="%.1f" height="14" rx="2"/>`+
				`<text x="%.1f" y="%d">%s</text>`+"\n",
				left-10, y+15, html.EscapeString(b.name), class, left, y+4, length, left+length+8, y+15, label)
			y += line
		}
		y += gap
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" `+
		`role="img" aria-label="How long starts take: AVTotpy and other migration tools">
<style>
text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #59636e }
.title { font-weight: 600; fill: #1f2328 } .name { text-anchor: end }
.ours { fill: #1a7f37 } .peer { fill: #818b98 } .floor { fill: none; stroke: #818b98; stroke-dasharray: 3 2 }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 } .title { fill: #f0f6fc }
.ours { fill: #3fb950 } .peer { fill: #656c76 } .floor { stroke: #9198a1 }
}
</style>
%s</svg>
`, width, y, body.String())
}
