// The page to log in.

import "./show-password.js";
import { Problem, request } from "./api.js";
import { Form } from "./form.js";

const form = new Form(document.getElementById("login"), async ({ name, password, next }) => {
	try {
		await request("POST", "session", { body: { name: name.trim(), password } });
	} catch (problem) {
		// Elsewhere a 401 means that the session has ended; here there was none.
		throw problem.status === 401 ? new Problem(422, { detail: "Name or password is wrong." }) : problem;
	}
	form.leave(next);
});
