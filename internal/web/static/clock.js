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
		document.addEventListener("visibilitychange", () => {
			this.#tick();
			this.#run();
		});
	}

	// now returns the server's time in ms.
	now() {
		return Date.now() - this.#ahead;
	}

	// set takes the time of a server's answer; it was written between sending and receiving.
	set(now, sentAt, receivedAt) {
		this.#ahead = (sentAt + receivedAt) / 2 - Date.parse(now);
		this.#warn();
		this.#run();
	}

	// listen calls tick with the time at each full second of the server's, until the returned function is called.
	listen(tick) {
		this.#listeners.add(tick);
		this.#timer ?? this.#run();
		return () => this.#listeners.delete(tick);
	}

	// One timer of 1 Hz for all: codes change at full seconds, and an animation at the screen's rate would paint
	// hundreds of rings sixty times a second.
	#run() {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		if (document.hidden) {
			return;
		}
		this.#timer = setTimeout(() => {
			this.#tick();
			this.#run();
		}, 1_000 - this.now() % 1_000);
	}

	#tick() {
		const now = this.now();
		this.#listeners.forEach((tick) => tick(now));
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
