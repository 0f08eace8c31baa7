// The page that creates the first user.

import "./show-password.js";
import { request } from "./api.js";
import { Form } from "./form.js";

const form = new Form(document.getElementById("setup"), async ({ token, name, password }) => {
	await request("POST", "setup", { body: { token: token.trim(), name: name.trim(), password } });
	form.leave("/");
}, { guarded: true });
