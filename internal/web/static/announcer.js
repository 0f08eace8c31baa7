// What screen readers say without moving the focus.

// announce says a text, also when it is the same as the one before.
export function announce(text) {
	const region = document.getElementById("announcer");
	region.textContent = "";
	setTimeout(() => { region.textContent = text; }, 50); // a change within one task is not noticed
}
