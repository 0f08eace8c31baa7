// The page of one's own settings.

import "./local-time.js";
import "./log-out.js";
import "./show-password.js";
import "./user-agent.js";
import { announce } from "./announcer.js";
import { request } from "./api.js";
import { Banner } from "./banner.js";
import { Form, sentence } from "./form.js";

const element = document.getElementById("password-form");
const form = new Form(element, async ({ current, new: chosen }) => {
	await request("PUT", "password", { body: { current, new: chosen } });
	element.reset();
	element.querySelector(".saved").textContent = "Password changed";
}, { guarded: true });
element.addEventListener("input", () => { element.querySelector(".saved").textContent = ""; });

const banner = new Banner();
const others = document.getElementById("end-others");
others?.addEventListener("submit", async (event) => {
	event.preventDefault();
	const button = others.querySelector("button");
	if (button.ariaDisabled === "true") {
		return;
	}
	button.ariaDisabled = "true";
	try {
		await request("DELETE", "sessions");
	} catch (problem) {
		button.ariaDisabled = "false";
		banner.show(sentence(problem));
		return;
	}
	banner.hide();
	for (const session of document.querySelectorAll("#sessions form")) {
		session.closest("li").remove();
	}
	others.remove();
	document.getElementById("main").focus(); // the button that had it is gone
	announce("All other sessions have ended.");
});
document.getElementById("sessions").addEventListener("submit", async (event) => {
	event.preventDefault();
	const button = event.target.querySelector("button");
	if (button.ariaDisabled === "true") {
		return;
	}
	const session = button.closest("li");
	button.ariaDisabled = "true";
	try {
		await request("DELETE", `sessions/${session.dataset.id}`);
	} catch (problem) {
		if (problem.status !== 404) { // 404: it has ended by itself
			button.ariaDisabled = "false";
			banner.show(sentence(problem));
			return;
		}
	}
	banner.hide();
	session.remove();
	document.getElementById("main").focus(); // the button that had it is gone
	announce("The session has ended.");
});
