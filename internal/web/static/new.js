// The page that adds an account.

import "./code-card.js";
import "./log-out.js";
import { request } from "./api.js";
import { clock } from "./clock.js";
import { Form, showFieldsFor } from "./form.js";

const element = document.getElementById("new");
const card = document.querySelector("#preview code-card");
const touched = new Set(); // fields that were left; a secret that is still being typed is not judged
const typingPause = 350; // ms

// A link says everything itself. No base32 secret holds a colon.
const isLink = () => element.elements.box.value.includes(":") || /^\W*otpauth/iu.test(element.elements.box.value);

// Several links, or a secret in each line: the server takes them apart, and shows what it found.
const isSeveral = () => (element.elements.box.value.match(/otpauth(?:-migration)?(?::|%3a)|steam:\/\//giu) ?? []).length > 1
	|| element.elements.box.value.trim().split(/[\n\t]+/u).length > 1;

// The box is the API's link or secret; what only a link can be wrong about has no other field to be shown at.
const fieldOf = (name) => isLink() || name === "link" || name === "secret" ? "box" : name;

const form = new Form(element, add, { fieldOf, guarded: true });

async function add(values) {
	if (isSeveral()) {
		form.handOver();
		return;
	}
	if (seen.content !== JSON.stringify(content(values))) { // typed faster than it could be shown
		await preview();
	}
	const { warnings = [], shown } = seen;
	if (warnings.some(({ code }) => code === "warning.steam") || warnings.length > 0 && !shown) {
		form.handOver();
		return;
	}
	const headers = { "Idempotency-Key": element.elements.submission.value };
	const { status, body: { account } } = await request("POST", "accounts", { body: content(values), headers });
	// 200: an earlier attempt had arrived although its answer had not; names may have been typed since.
	if (status === 200 && !isLink()) {
		await request("PATCH", `accounts/${account.id}`, { body: names(values) });
	}
	form.leave(`/#account-${account.id}`);
}

// content returns what is sent for what is typed: numbers as numbers, and what is no number as it is, for the
// server to say so at its field.
function content(values) {
	if (isLink()) {
		return { link: values.box };
	}
	const number = (text) => /^\d+$/u.test(text.trim()) ? Number(text) : text;
	const body = { kind: values.kind, secret: values.box, ...names(values) };
	if (values.kind !== "steam") {
		body.algorithm = values.algorithm;
		body.digits = number(values.digits);
	}
	if (values.kind === "totp") {
		body.period = number(values.period);
	}
	if (values.kind === "hotp") {
		body.counter = number(values.counter);
	}
	return body;
}

function names({ issuer, account, note }) {
	return { issuer: issuer.trim(), account: account.trim(), note: note.trim() };
}

// arrange shows the fields that mean something for what is in the box and for the kind.
function arrange() {
	document.getElementById("by-hand").hidden = isLink() || isSeveral();
	element.querySelector("[type=submit]").textContent = isSeveral() ? "Check accounts…" : "Add account";
	showFieldsFor(element, element.elements.kind.value);
	document.getElementById("box-hint").textContent = isLink() && !isSeveral()
		? "A link: names and everything else come from it. You can change the names later."
		: "Paste what the site shows next to its QR code: an otpauth:// or steam:// link, or the secret alone. Several links can come together, each in a line.";
}

document.addEventListener("uncover", () => preview());

let seen = {}; // what the preview is of, its warnings, and whether they were there to read
let latest = 0; // the preview that counts; answers may overtake each other
let timer;

async function preview() {
	clearTimeout(timer);
	const mine = ++latest;
	seen = {};
	if (element.elements.box.value.trim() === "") {
		blank();
		return;
	}
	if (isSeveral()) {
		blank("These are several lines. The next page shows what is in them, before anything is added.");
		return;
	}
	try {
		const wanted = content(form.values);
		const { body, sentAt, receivedAt } = await request("POST", "preview", { body: wanted });
		if (mine === latest && !document.body.classList.contains("covered")) {
			seen = { content: JSON.stringify(wanted), warnings: body.warnings, shown: !element.ariaBusy || element.ariaBusy === "false" };
			clock.set(body.now, sentAt, receivedAt);
			show(body);
		}
	} catch (problem) {
		if (mine === latest) {
			blank(problem.errors.length === 0 ? problem.message : undefined);
			form.show(problem, touched);
		}
	}
}

function show({ account, warnings, ...code }) {
	card.dataset.kind = account.kind;
	card.dataset.digits = account.digits;
	card.rename(account);
	card.show(code);
	document.getElementById("preview").hidden = false;
	document.getElementById("no-preview").hidden = true;
	document.getElementById("warnings").replaceChildren(...(warnings ?? []).map((warning) => {
		const item = document.createElement("li");
		item.textContent = warning.message;
		return item;
	}));
	if (card.until > 0) {
		timer = setTimeout(preview, Math.max(card.until - clock.now(), 1_000));
	}
}

function blank(why = "The code shows here as soon as the secret is complete.") {
	document.getElementById("preview").hidden = true;
	document.getElementById("warnings").replaceChildren();
	document.getElementById("no-preview").hidden = false;
	document.getElementById("no-preview").textContent = why;
}

function typed() {
	arrange();
	clearTimeout(timer);
	timer = setTimeout(preview, typingPause);
}

element.addEventListener("input", typed);
element.addEventListener("change", (event) => {
	touched.add(event.target.name);
	typed();
});
element.elements.box.addEventListener("paste", () => touched.add("box"));
// Enter in a box of several lines means "that is all": what is pasted has its breaks already, and Shift makes one.
element.elements.box.addEventListener("keydown", (event) => {
	if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
		event.preventDefault();
		element.requestSubmit();
	}
});
// The way back to this page brings it as it was left, with a submission that has been used.
addEventListener("pageshow", (event) => event.persisted && location.reload());
arrange();
preview();
