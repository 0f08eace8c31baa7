// <code-card> is an account with its code: counts down, changes to the next code by itself, copies on click.

import "./otp-code.js";
import "./count-ring.js";
import { announce } from "./announcer.js";
import { request } from "./api.js";
import { clock } from "./clock.js";
import { copy } from "./copy.js";

const copiedFor = 1_600; // ms that the confirmation stays

export class CodeCard extends HTMLElement {
	#stop;
	#timer;
	#from = 0;
	#until = 0;
	#code = "";
	#next = "";

	connectedCallback() {
		if (!this.#stop) {
			this.querySelector(".card-copy").addEventListener("click", () => this.copy());
			this.querySelector(".card-advance")?.addEventListener("click", (event) => this.#advance(event.currentTarget));
			this.show(this.dataset);
		}
		this.#stop = this.timed ? clock.listen((now) => this.#tick(now)) : () => {};
	}

	disconnectedCallback() {
		this.#stop();
	}

	get timed() {
		return this.dataset.kind !== "hotp";
	}

	// until is the server's time in ms at which another code has to be known.
	get until() {
		return this.#until;
	}

	get name() {
		return this.querySelector(".card-title").textContent.trim();
	}

	// show takes a code as the API tells it.
	show({ code = "", next = "", from, until }) {
		this.#from = Date.parse(from) || 0;
		this.#until = Date.parse(until) || 0;
		this.#set(code, next);
		if (this.timed) {
			this.#tick(clock.now());
		}
	}

	// rename shows other names, for a card that is still being typed.
	rename(issuer, account) {
		const title = issuer || account || "Unnamed";
		this.querySelector(".card-title").textContent = title;
		this.querySelector(".card-account").textContent = issuer ? account : "";
		this.querySelector("count-ring").dataset.name = title;
	}

	async copy() {
		if (this.#code === "") {
			announce(this.timed ? "There is no current code." : "Ask for the next code first.");
			return;
		}
		if (!await copy(this.#code)) {
			getSelection().selectAllChildren(this.querySelector(".card-code"));
			announce("The browser does not let this page copy. The code is selected; copy it from there.");
			return;
		}
		announce(`Code of ${this.name} copied.`);
		this.classList.add("copied");
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.classList.remove("copied"), copiedFor);
	}

	// When a code's time is over the next one takes its place at once; the page asks the server a little later.
	#tick(now) {
		const whole = this.#until - this.#from;
		if (now >= this.#until && this.#code !== "") {
			const follows = now < this.#until + whole ? this.#next : "";
			this.#from = this.#until;
			this.#until += follows === "" ? 0 : whole;
			this.#set(follows, "");
		}
		const left = this.#until - now;
		this.classList.toggle("ending", left > 0 && left <= 5_000 && whole > 5_000);
		this.querySelector("count-ring").show(left, whole);
	}

	#set(code, next) {
		this.#code = code;
		this.#next = next;
		this.querySelector(".card-code").value = code || "•".repeat(Number(this.dataset.digits) || 6);
		this.classList.toggle("blank", code === "");
		const line = this.querySelector(".card-next");
		const shown = line.querySelector("otp-code");
		if (next === "") {
			line.hidden = true;
		} else if (shown) {
			line.hidden = false;
			shown.value = next;
		} else {
			const hint = document.createElement("span");
			hint.className = "card-hint";
			hint.textContent = "next";
			const element = document.createElement("otp-code");
			element.textContent = next;
			line.replaceChildren(hint, " ", element);
			line.hidden = false;
		}
	}

	// A counter moves on with each code, so a second click waits: the site follows only a few codes ahead.
	async #advance(button) {
		if (button.ariaDisabled === "true") {
			return;
		}
		button.ariaDisabled = "true";
		try {
			const { body } = await request("POST", `accounts/${this.dataset.id}/hotp`);
			this.#set(body.code, "");
			announce(`Code of ${this.name}: ${[...body.code].join(" ")}`);
			this.dispatchEvent(new CustomEvent("advanced", { bubbles: true, detail: body }));
		} catch (problem) {
			this.dispatchEvent(new CustomEvent("trouble", { bubbles: true, detail: problem }));
		}
		setTimeout(() => { button.ariaDisabled = "false"; }, 1_000);
	}
}

customElements.define("code-card", CodeCard);
