package mailer

import (
	"math"
	"time"
)

// longestForecast is where counting stops: nobody waits that long.
const longestForecast = 366 * 24 * time.Hour

// Forecast is how long so many messages take at least, by the rates and quotas of the relays alone: zero where there are none. A
// relay behind the first helps while a quota of those before it is used up, and not where their rate is the limit.
func Forecast(relays []Relay, messages int) time.Duration {
	left := float64(messages)
	today := make([]float64, len(relays))
	for hour := time.Duration(0); hour < longestForecast; hour += time.Hour {
		if hour%(24*time.Hour) == 0 {
			clear(today)
		}
		spent := 0.0 // of this hour, in hours
		for i, r := range relays {
			perHour := math.Inf(1)
			if r.Rate > 0 {
				perHour = r.Rate * 3600
			}
			n := min(left, perHour*(1-spent), orInf(r.PerHour), orInf(r.PerDay)-today[i])
			if math.IsInf(perHour, 1) && n == left {
				return hour + time.Duration(spent*float64(time.Hour))
			}
			left -= n
			today[i] += n
			if r.Rate > 0 {
				spent += n / perHour
			}
			if left <= 0 {
				return hour + time.Duration(spent*float64(time.Hour))
			}
			if spent >= 1 {
				break
			}
		}
	}
	return longestForecast
}

// orInf is a quota as a number: none is no limit.
func orInf(quota int) float64 {
	if quota <= 0 {
		return math.Inf(1)
	}
	return float64(quota)
}
