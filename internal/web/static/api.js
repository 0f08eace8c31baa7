// Requests to the server's JSON API.

// Problem is an answer that is not a success (RFC 9457), or no answer at all: status 0.
export class Problem extends Error {
	constructor(status, { type, title, detail, errors } = {}, retryAfter = 0) {
		super(detail || title || `The server answered with status ${status}.`);
		this.status = status;
		this.type = type; // a URI where the status does not say all
		this.errors = errors ?? []; // [{location: "body.secret", message}]
		this.retryAfter = retryAfter; // seconds
	}
}

// request returns what the server answers, as {status, body, sentAt, receivedAt}, or throws a Problem.
export async function request(method, path, { body, headers = {} } = {}) {
	const sentAt = Date.now();
	try {
		const response = await fetch(`/api/v1/${path}`, {
			method,
			headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
			body: body === undefined ? undefined : JSON.stringify(body),
			cache: "no-store",
			// A laptop that wakes up has connections that hang for minutes. A change is waited for longer than the server takes
			// for any request: what became of one that is given up is not known.
			signal: AbortSignal.timeout(method === "GET" ? 15_000 : 30_000),
		});
		const receivedAt = Date.now();
		const text = await response.text();
		const answer = text === "" ? undefined : parse(text);
		if (!response.ok) {
			const problem = new Problem(response.status, answer, Number(response.headers.get("Retry-After")) || 0);
			if (problem.status === 401) {
				document.dispatchEvent(new CustomEvent("signed-out", { detail: problem }));
			}
			throw problem;
		}
		return { status: response.status, body: answer, sentAt, receivedAt };
	} catch (err) {
		if (err instanceof Problem) {
			throw err;
		}
		throw new Problem(0, { detail: "The server cannot be reached." });
	}
}

// A proxy in front of the server answers in HTML when the server is away.
function parse(text) {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
