// <user-agent> makes a browser's description of itself one that its user knows.

// In this order: each of them also names some of those after it.
const browsers = [[/Edg\w*\//u, "Edge"], [/OPR\//u, "Opera"], [/Firefox\/|FxiOS\//u, "Firefox"], [/Chrom\w*\/|CriOS\/|HeadlessChrome\//u, "Chrome"], [/Safari\//u, "Safari"]];
const systems = [[/iPhone|iPad/u, "iOS"], [/Android/u, "Android"], [/Windows/u, "Windows"], [/Mac OS X/u, "macOS"], [/CrOS/u, "ChromeOS"], [/Linux/u, "Linux"]];

class UserAgent extends HTMLElement {
	connectedCallback() {
		const text = this.textContent.trim();
		const [browser, system] = [browsers, systems].map((known) => known.find(([pattern]) => pattern.test(text))?.[1]);
		if (browser || system) {
			this.textContent = [browser ?? "A program", system].filter(Boolean).join(" on ");
		}
	}
}

customElements.define("user-agent", UserAgent);
