// The server's clock. Codes are right by that one, however wrong this device's may be.

import { Banner } from "./banner.js";

const tolerance = 5_000; // ms that this device may be off before it is worth a word

class Clock {
	#ahead = 0; // ms by which this device is ahead of the server
	#listeners = new Set();
	#timer;
	#banner = new Banner();

	constructor() {
		const served = Date.parse(document.body.dataset.now);
		const [loading] = performance.getEntriesByType("navigation");
		if (served && loading) {
			const received = performance.timeOrigin + loading.responseStart;
			this.#ahead = received - served;
			this.#warn();
		}
		document.addEventListener("visibilitychange", () => this.#run());
	}

	// now returns the server's time in ms.
	now() {
		return Date.now() - this.#ahead;
	}

	// set takes the time that a server's answer tells; it was written between sending and receiving.
	set(now, sentAt, receivedAt) {
		this.#ahead = (sentAt + receivedAt) / 2 - Date.parse(now);
		this.#warn();
	}

	// listen calls tick with the time, now and then often enough for a ring, until the returned function is called.
	listen(tick) {
		this.#listeners.add(tick);
		this.#run();
		tick(this.now());
		return () => {
			this.#listeners.delete(tick);
			this.#run();
		};
	}

	// A timer of 4 Hz for all: rings are small, so a step is less than a pixel, and an animation at the screen's
	// rate would repaint hundreds of them sixty times a second.
	#run() {
		clearInterval(this.#timer);
		if (this.#listeners.size > 0 && !document.hidden) {
			const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
			this.#timer = setInterval(() => {
				const now = this.now();
				this.#listeners.forEach((tick) => tick(now));
			}, calm ? 1_000 : 250);
		}
	}

	#warn() {
		if (Math.abs(this.#ahead) <= tolerance) {
			this.#banner.hide();
			return;
		}
		const direction = this.#ahead > 0 ? "ahead of" : "behind";
		this.#banner.show(`This device’s clock is ${span(Math.abs(this.#ahead))} ${direction} the server’s. The codes here go by the server.`);
	}
}

// span writes a duration roughly: what counts is that it is too long.
function span(ms) {
	for (const [unit, length] of [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]]) {
		if (ms >= 2 * length) {
			return `${Math.round(ms / length)} ${unit}s`;
		}
	}
	return `${Math.round(ms / 1_000)} seconds`;
}

export const clock = new Clock();
