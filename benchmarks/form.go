package main

import "time"

// A form says how much is run. Only the full form's sizes are those of the targets.
type form struct {
	name                  string
	limit                 time.Duration // when it is over, what is left is not run
	few, some, many, slow int           // files of the cases; slow is that of the one over a slow network
	bytes                 int64         // of the large file
	starts                int           // of whole programs
	programs              int           // at once

	blank, blankSlow, blankMany, current, currentSlow, file, asking rounds

	webTime   time.Duration // of load, for each web server and turn
	webRounds int
	hotTime   time.Duration // for each Go benchmark
}

func shortForm() form {
	return form{
		name: "short", limit: 110 * time.Second, few: 50, some: 200, many: 1000, slow: 10, bytes: 10_000_000,
		starts: 7, programs: 64,
		blank:       rounds{3, 10 * time.Second},
		blankSlow:   rounds{1, 10 * time.Second},
		blankMany:   rounds{1, 10 * time.Second},
		current:     rounds{9, 3 * time.Second},
		currentSlow: rounds{3, 5 * time.Second},
		file:        rounds{2, 8 * time.Second},
		asking:      rounds{50, 3 * time.Second},
		webTime:     time.Second,
		webRounds:   2,
		hotTime:     100 * time.Millisecond,
	}
}

func fullForm() form {
	return form{
		name: "full", limit: 19 * time.Minute, few: 100, some: 1000, many: 10_000, slow: 100, bytes: 50_000_000,
		starts: 21, programs: 64,
		blank:       rounds{7, 180 * time.Second},
		blankSlow:   rounds{3, 200 * time.Second},
		blankMany:   rounds{3, 300 * time.Second},
		current:     rounds{31, 30 * time.Second},
		currentSlow: rounds{11, 30 * time.Second},
		file:        rounds{5, 60 * time.Second},
		asking:      rounds{300, 20 * time.Second},
		webTime:     3 * time.Second,
		webRounds:   5,
		hotTime:     time.Second,
	}
}
