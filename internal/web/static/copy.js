// Copying to the clipboard.

// copy puts a text on the clipboard and returns whether that worked.
export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		return copyBySelection(text); // navigator.clipboard exists only under https and on localhost
	}
}

function copyBySelection(text) {
	const focused = document.activeElement;
	const area = document.createElement("textarea");
	area.className = "visually-hidden";
	area.readOnly = true; // no keyboard on phones
	area.value = text;
	document.body.append(area);
	area.select();
	const copied = document.execCommand("copy");
	area.remove();
	focused?.focus({ preventScroll: true });
	return copied;
}
