// The session of a page. It reports to the server that the page is in use, and covers it when it was not for a while,
// until the password is entered. What was typed stays.

import { Problem, request } from "./api.js";
import { Form } from "./form.js";

const reportEvery = 60_000; // ms; at most
const checkEvery = 2_000; // ms
const locked = "urn:avtotpy:session-locked";

const dialog = document.getElementById("lock");
const element = document.getElementById("unlock");
const tabs = new BroadcastChannel("session");

let locksAt = 0; // by this device's clock
let reported = Date.now(); // to load the page was to use it
let report; // a timer, while there is something to report
let ended = false; // whether there is no session any more, so that it takes a login to go on

function extend(seconds) {
	locksAt = Date.now() + seconds * 1_000;
}

// used notes a touch, a key or a pointer.
function used(event) {
	if (event.isTrusted && !dialog.open) {
		report ??= setTimeout(send, Math.max(reported + reportEvery - Date.now(), 0));
	}
}

async function send() {
	reported = Date.now();
	try {
		const { body } = await request("POST", "session/activity");
		extend(body.locks_in);
		tabs.postMessage({ locksIn: body.locks_in });
	} catch {
		// A 401 covers the page; what else fails is tried again with the next touch.
	}
	report = undefined;
}

function check() {
	if (!dialog.open && Date.now() >= locksAt) {
		cover();
		verify(); // another tab may be in use
	}
}

// verify asks the server, which is always right.
async function verify() {
	try {
		const { body } = await request("GET", "session");
		extend(body.locks_in);
		uncover();
	} catch {
		// It stays covered.
	}
}

function cover() {
	clearTimeout(report);
	report = undefined;
	document.body.classList.add("covered");
	for (const card of document.querySelectorAll("code-card")) {
		card.conceal?.(); // not on pages without its script
	}
	if (!dialog.open) {
		ask();
	}
}

function uncover() {
	document.body.classList.remove("covered");
	ended = false;
	reported = Date.now();
	element.reset();
	dialog.close();
	for (const card of document.querySelectorAll("code-card")) {
		card.reveal?.();
	}
	document.dispatchEvent(new Event("uncover"));
}

new Form(element, async ({ name, password }) => {
	try {
		if (!ended) {
			await request("POST", "session/unlock", { body: { password } });
		}
	} catch (problem) {
		if (problem.status !== 401) {
			throw problem;
		}
		ended = true;
	}
	try {
		if (ended) {
			await request("POST", "session", { body: { name, password } });
		}
	} catch (problem) {
		throw problem.status === 401 ? new Problem(422, { detail: "The password is wrong." }) : problem;
	}
	await verify();
	tabs.postMessage({ unlocked: true });
});

document.addEventListener("signed-out", ({ detail: problem }) => {
	ended = problem.type !== locked;
	if (!dialog.open) {
		cover();
		if (ended) {
			verify(); // another tab may have a new session
		}
	}
});
tabs.addEventListener("message", ({ data }) => {
	if (dialog.open) {
		verify();
	} else if (data.locksIn) {
		extend(data.locksIn);
	}
});
// Some browsers close a dialog when Escape is pressed twice.
dialog.addEventListener("cancel", (event) => event.preventDefault());
dialog.addEventListener("close", () => document.body.classList.contains("covered") && ask());

// ask shows the dialog. The field has no autofocus, which counts when a page loads, too.
function ask() {
	dialog.showModal();
	dialog.querySelector("[type=password]").focus();
}
document.addEventListener("visibilitychange", () => {
	if (!document.hidden) {
		check();
		if (dialog.open) {
			verify();
		}
	}
});
for (const name of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
	addEventListener(name, used, { passive: true, capture: true });
}
addEventListener("pageshow", (event) => event.persisted ? verify() : check()); // the way back may lead to a page from before a logout
extend(Number(document.body.dataset.locksIn));
setInterval(check, checkEvery);
