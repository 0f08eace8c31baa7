// <show-password> gives the password field in it a button that shows what is typed.

class ShowPassword extends HTMLElement {
	connectedCallback() {
		if (this.querySelector("button")) {
			return;
		}
		const field = this.querySelector("input");
		const button = document.createElement("button");
		button.type = "button";
		button.className = "show";
		button.setAttribute("aria-controls", field.id);
		button.setAttribute("aria-label", "Show password");
		const turn = (shown) => {
			field.type = shown ? "text" : "password";
			button.textContent = shown ? "Hide" : "Show";
			button.setAttribute("aria-pressed", String(shown));
		};
		button.addEventListener("click", () => turn(field.type === "password"));
		field.form.addEventListener("submit", () => turn(false)); // else browsers do not offer to save it
		turn(false);
		this.append(button);
	}
}

customElements.define("show-password", ShowPassword);
