// The page of one account.

import "./code-card.js";
import "./log-out.js";
import { request } from "./api.js";
import { Codes } from "./codes.js";
import { Form } from "./form.js";

const element = document.getElementById("account-form");
const card = document.querySelector("code-card");
const path = `accounts/${element.dataset.id}`;
new Codes([card]);

const form = new Form(element, async (values) => {
	// Only what was changed here: another page may have changed the rest.
	const changes = Object.entries(values).filter(([name, value]) => element.elements[name].type !== "hidden" && value !== element.elements[name].defaultValue);
	const { body: { account } } = await request("PATCH", path, { body: Object.fromEntries(changes) });
	form.keep();
	card.rename(account);
	document.querySelector("h1").textContent = card.name;
	saved("Saved");
}, { guarded: true });
element.addEventListener("input", () => saved(""));

function saved(text) {
	element.querySelector(".saved").textContent = text;
}

document.addEventListener("advanced", (event) => {
	document.getElementById("counter").textContent = event.detail.counter + 1;
});

const dialog = document.getElementById("confirm");
document.getElementById("delete").addEventListener("click", (event) => {
	event.preventDefault();
	dialog.showModal();
});
document.getElementById("keep").addEventListener("click", (event) => {
	event.preventDefault();
	dialog.close();
});
const deleting = new Form(document.getElementById("delete-form"), async () => {
	try {
		await request("DELETE", path);
	} catch (problem) {
		if (problem.status !== 404) { // 404: it is gone, which is what was asked for
			throw problem;
		}
	}
	form.leave(`/?deleted=${element.dataset.id}`);
	deleting.leave(`/?deleted=${element.dataset.id}`);
});
