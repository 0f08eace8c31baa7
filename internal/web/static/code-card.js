// <code-card> is an account with its code: counts down, changes to the next code by itself, copies on click.
// What it shows comes from the server; a script that takes over changes nothing until a second has passed.

import { announce } from "./announcer.js";
import { request } from "./api.js";
import { clock } from "./clock.js";
import { copy } from "./copy.js";

const copiedFor = 1_600; // ms that the confirmation stays
const lastSeconds = 5_000; // ms in which the ring has the colour of warnings

// Only rings that can be seen are drawn.
const watcher = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => target.seen(isIntersecting)), { rootMargin: "100px" });

export class CodeCard extends HTMLElement {
	#stop;
	#timer;
	#from = 0;
	#until = 0;
	#drawn = false;
	#kept = ""; // the code of a counter, while it is concealed

	connectedCallback() {
		if (!this.#stop) {
			this.addEventListener("click", (event) => this.#click(event));
			this.addEventListener("submit", (event) => this.#advance(event));
			this.#window(this.dataset);
		}
		this.#stop = clock.listen((now) => this.#tick(now));
		watcher.observe(this);
	}

	disconnectedCallback() {
		this.#stop();
		watcher.unobserve(this);
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

	// show takes a code as the API has it.
	show({ code = "", next = "", from, until }) {
		this.#window({ from, until });
		this.toggleAttribute("data-until", this.#until > 0); // for the style sheet: whether there is a ring to draw
		this.#set(code, next);
		this.#tick(clock.now());
	}

	// conceal takes the codes off the page until reveal, or until show has others.
	conceal() {
		if (!this.timed && !this.classList.contains("blank")) {
			this.#kept = codeIn(this.querySelector(".card-code"));
		}
		delete this.dataset.code;
		delete this.dataset.next;
		this.show({});
	}

	// reveal shows the code of a counter again; others are asked for.
	reveal() {
		if (this.#kept !== "") {
			this.show({ code: this.#kept });
			this.#kept = "";
		}
	}

	// rename shows other names, for a card that is still being typed.
	rename({ issuer, label_issuer: label, account }) {
		const title = (issuer && label ? `${issuer} (${label})` : issuer) || account || "Unnamed";
		this.querySelector(".card-title").textContent = title;
		this.querySelector(".card-account").textContent = issuer ? account : "";
		const ring = this.querySelector(".ring");
		ring.textContent = [...title][0];
		ring.className = `ring hue-${hue(title)}`;
	}

	// seen notes whether the card is in sight.
	seen(drawn) {
		this.#drawn = drawn;
		this.#tick(clock.now());
	}

	async copy(which = ".card-code") {
		this.#tick(clock.now());
		const code = which === ".card-code" && this.classList.contains("blank") ? "" : codeIn(this.querySelector(which));
		const what = which === ".card-code" ? "Code" : "Next code";
		if (code === "") {
			announce(this.timed ? "There is no current code." : "Ask for the next code first.");
			return;
		}
		if (!await copy(code)) {
			getSelection().selectAllChildren(this.querySelector(which));
			announce("The browser does not let this page copy. The code is selected; copy it from there.");
			return;
		}
		announce(`${what} of ${this.name} copied.`);
		this.dataset.copied = `${what} copied`;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => delete this.dataset.copied, copiedFor);
	}

	#click(event) {
		if (event.target.closest(".card-copy")) {
			this.copy();
		} else if (event.target.closest(".card-next")) {
			this.copy(".card-next otp-code");
		}
	}

	// When a code's time is over the next one takes its place at once; the page asks the server a little later.
	#tick(now) {
		const whole = this.#until - this.#from;
		if (whole <= 0) {
			return;
		}
		if (now >= this.#until && !this.classList.contains("blank")) {
			const follows = now < this.#until + whole ? codeIn(this.querySelector(".card-next otp-code")) : "";
			this.#from = this.#until;
			this.#until += follows === "" ? 0 : whole;
			this.#set(follows, "");
		}
		if (this.#drawn) {
			const left = Math.max(this.#until - now, 0);
			const ring = this.querySelector(".ring");
			ring.style.setProperty("--left", whole > 0 ? (left / whole).toFixed(3) : 0);
			ring.classList.toggle("ending", left > 0 && left <= lastSeconds && whole > lastSeconds);
		}
	}

	#window({ from, until }) {
		this.#from = Date.parse(from) || 0;
		this.#until = Date.parse(until) || 0;
	}

	#set(code, next) {
		write(this.querySelector(".card-code"), code || "•".repeat(Number(this.dataset.digits) || 6));
		this.classList.toggle("blank", code === "");
		this.classList.remove("used");
		const button = this.querySelector(".card-next");
		if (button) {
			button.hidden = next === "";
			write(button.querySelector("otp-code"), next);
		}
	}

	// A counter moves on with each code, so a second click waits: the site follows only a few codes ahead.
	async #advance(event) {
		event.preventDefault();
		const button = event.submitter;
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
			this.dispatchEvent(new CustomEvent("codes-error", { bubbles: true, detail: problem }));
		}
		setTimeout(() => { button.ariaDisabled = "false"; }, 1_000);
	}
}

function codeIn(element) {
	return element?.textContent.replace(/\s/gu, "") ?? "";
}

function write(element, code) {
	if (codeIn(element) !== code) {
		element.textContent = grouped(code);
		element.setAttribute("aria-label", code.includes("•") ? "no code yet" : [...code].join(" ")); // digits, not a number of six figures
	}
}

// grouped cuts a code into parts that can be remembered, as card.go does.
function grouped(code) {
	switch (code.length) {
	case 6: case 7:
		return `${code.slice(0, 3)} ${code.slice(3)}`;
	case 8:
		return `${code.slice(0, 4)} ${code.slice(4)}`;
	case 9: case 10:
		return `${code.slice(0, 3)} ${code.slice(3, 6)} ${code.slice(6)}`;
	default:
		return code;
	}
}

// hue gives each name a colour of its own that stays the same, as card.go does.
function hue(name) {
	let hash = 2166136261; // FNV-1a
	for (const character of name.toLowerCase()) {
		hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
	}
	return (hash >>> 0) % 12;
}

customElements.define("code-card", CodeCard);
