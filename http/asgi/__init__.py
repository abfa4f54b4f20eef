"""The other way in: QuartTrio behind hypercorn, whose requests are judged by the lane's rules first."""
