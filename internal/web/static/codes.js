// The codes of a page's cards, asked of the server again whenever a window ends: one request for all.

import { request } from "./api.js";
import { Banner } from "./banner.js";
import { clock } from "./clock.js";

const jitter = 700; // ms; all pages of all people see a window end at the same moment
const shortest = 1_000; // ms between two requests, for periods of a second
const longestPause = 30_000; // ms between two requests: what changes elsewhere shows, whatever the periods are
const longestWait = 30_000; // ms between two attempts while the server is away

export class Codes {
	#cards;
	#version;
	#timer;
	#asking;
	#failures = 0;
	#banner = new Banner();
	#changed = new Banner();

	// version is that of all accounts, if the cards show all, so that another one is worth a word.
	constructor(cards, { version } = {}) {
		this.#cards = cards.filter((card) => card.timed);
		this.#version = version;
		document.addEventListener("codes-error", (event) => this.#showError(event.detail));
		if (cards.length === 0) {
			return;
		}
		document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(this.#timer) : this.refresh());
		document.addEventListener("uncover", () => this.refresh());
		addEventListener("online", () => this.refresh());
		addEventListener("pageshow", (event) => event.persisted && this.refresh());
		this.#plan();
	}

	// refresh asks the server for the codes now.
	async refresh() {
		clearTimeout(this.#timer);
		this.#asking ??= this.#ask().finally(() => { this.#asking = undefined; });
		await this.#asking;
		this.#plan();
	}

	async #ask() {
		try {
			const { body, sentAt, receivedAt } = await request("GET", "codes");
			clock.set(body.now, sentAt, receivedAt);
			if (document.body.classList.contains("covered")) {
				return;
			}
			this.#show(new Map(body.codes.map((code) => [code.account_id, code])));
			this.#compare(body.version);
			this.#failures = 0;
			this.#banner.hide();
		} catch (problem) {
			this.#failures++;
			this.#showError(problem);
		}
	}

	#show(codes) {
		for (const card of this.#cards) {
			const code = codes.get(card.dataset.id);
			if (code) {
				card.show(code);
			}
		}
	}

	#compare(version) {
		if (this.#version !== undefined && this.#version !== version) {
			this.#changed.show("Accounts were added, changed or deleted elsewhere.", { label: "Show them", act: () => location.reload() });
		} else {
			this.#changed.hide();
		}
	}

	#plan() {
		clearTimeout(this.#timer);
		if (document.hidden || document.body.classList.contains("covered")) {
			return; // it asks when it is looked at again
		}
		const ends = Math.min(clock.now() + longestPause, ...this.#cards.map((card) => card.until)) - clock.now();
		const wait = this.#failures === 0
			? Math.max(ends, shortest) + Math.random() * jitter
			: Math.min(1_000 * 2 ** this.#failures, longestWait) * (0.75 + Math.random() / 2);
		this.#timer = setTimeout(() => this.refresh(), wait);
	}

	#showError(problem) {
		if (problem.status === 401) {
			return; // session.js covers the page
		}
		const consequence = problem.status === 0 ? " Codes already here stay right until their time is over." : "";
		this.#banner.show(problem.message + consequence, { label: "Try again", act: () => this.refresh() });
	}
}
