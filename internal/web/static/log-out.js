// <log-out> ends the session when the button in it is pressed.

import { request } from "./api.js";
import { Banner } from "./banner.js";

class LogOut extends HTMLElement {
	#banner = new Banner();

	connectedCallback() {
		this.querySelector("form").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#end();
		});
	}

	async #end() {
		try {
			await request("DELETE", "session");
		} catch (problem) {
			if (problem.status !== 401) { // 401: it had ended already
				this.#banner.show(`You are still logged in. ${problem.message}`, { label: "Try again", act: () => this.#end() });
				return;
			}
		}
		location.replace("/login");
	}
}

customElements.define("log-out", LogOut);
