// <otp-code> shows a code in groups that can be read aloud.

// groups cuts a code; layout.html does the same for the codes that come with the page.
function groups(code) {
	switch (code.length) {
	case 6: case 7:
		return [code.slice(0, 3), code.slice(3)];
	case 8:
		return [code.slice(0, 4), code.slice(4)];
	case 9: case 10:
		return [code.slice(0, 3), code.slice(3, 6), code.slice(6)];
	default:
		return [code];
	}
}

class OTPCode extends HTMLElement {
	connectedCallback() {
		this.value = this.value;
	}

	get value() {
		return this.textContent.trim();
	}

	set value(code) {
		this.replaceChildren(...groups(code).map((group) => {
			const span = document.createElement("span");
			span.textContent = group;
			return span;
		}));
		// Read as digits, not as a number of six figures.
		this.setAttribute("role", "img");
		this.setAttribute("aria-label", [...code].join(" "));
	}
}

customElements.define("otp-code", OTPCode);
