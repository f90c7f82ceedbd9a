# Coverage of each package that users link, from the profiles that
# `go test -coverprofile` writes. A
# block that several tests run stands there several times, and counts once.
/^mode:|\/(internal|examples)\// { next }
{
	block = $1
	package = block
	sub(/\/[^\/]*$/, "", package)
	if (!(block in statements)) {
		statements[block] = $2
		total[package] += $2
	}
	if ($3 > 0 && !(block in run)) {
		run[block] = 1
		covered[package] += $2
	}
}
END {
	for (package in total)
		printf "coverage of %-45s %5.1f%% of %d statements\n", package, 100 * covered[package] / total[package], total[package] | "sort"
}
