// <local-time data-at="2026-01-02T15:04:05Z"> shows a time as people say it, in their language and zone.

const units = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

class LocalTime extends HTMLElement {
	connectedCallback() {
		const at = new Date(this.dataset.at);
		if (Number.isNaN(at.getTime())) {
			return;
		}
		this.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
		const seconds = (at - Date.now()) / 1_000;
		const [unit, length] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ["minute", 60];
		this.textContent = new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(seconds / length), unit);
	}
}

customElements.define("local-time", LocalTime);
